"""What repositories of ECR may have and those here never do: lifecycle policies, scans, replicas, upstream registries, signatures
made by AWS. Tools ask for them (a plan, an inventory, an audit), and learn that there are none."""

from registry.ecr.call import Call, Registry, Result, name_of, registry_of
from registry.errors import (
    LifecyclePolicyNotFound,
    LifecyclePolicyPreviewNotFound,
    PullThroughCacheRuleNotFound,
    ScanNotFound,
    SigningConfigurationNotFound,
)
from registry.images import ImageId
from registry.rows import Image, Repository


async def get_lifecycle_policy(ecr: Registry, call: Call) -> Result:
    repository = await ecr.repositories.find(registry_of(call), name_of(call))
    raise LifecyclePolicyNotFound(repository.registry, repository.name)


async def get_lifecycle_policy_preview(ecr: Registry, call: Call) -> Result:
    repository = await ecr.repositories.find(registry_of(call), name_of(call))
    raise LifecyclePolicyPreviewNotFound(repository.registry, repository.name)


async def describe_image_scan_findings(ecr: Registry, call: Call) -> Result:
    repository, _, wanted = await _find(ecr, call)
    raise ScanNotFound(repository.registry, repository.name, digest=wanted.digest, tag=wanted.tag)


async def get_registry_scanning_configuration(ecr: Registry, call: Call) -> Result:  # noqa: ARG001 - every handler is called alike
    return {"registryId": registry_of(call).account, "scanningConfiguration": {"scanType": "BASIC", "rules": []}}


async def describe_image_replication_status(ecr: Registry, call: Call) -> Result:
    repository, image, wanted = await _find(ecr, call)
    return {
        "repositoryName": repository.name,
        "imageId": _render_id(image, wanted),
        "replicationStatuses": [],
    }


async def describe_pull_through_cache_rules(ecr: Registry, call: Call) -> Result:  # noqa: ARG001 - every handler is called alike
    prefixes = call.params.get("ecrRepositoryPrefixes")
    if prefixes:
        raise PullThroughCacheRuleNotFound(registry_of(call), prefixes[0])
    return {"pullThroughCacheRules": []}


async def get_signing_configuration(ecr: Registry, call: Call) -> Result:  # noqa: ARG001 - every handler is called alike
    raise SigningConfigurationNotFound(registry_of(call))


async def describe_image_signing_status(ecr: Registry, call: Call) -> Result:
    repository, image, wanted = await _find(ecr, call)
    return {
        "registryId": repository.registry.account,
        "repositoryName": repository.name,
        "imageId": _render_id(image, wanted),
        "signingStatuses": [],
    }


async def list_pull_time_update_exclusions(ecr: Registry, call: Call) -> Result:  # noqa: ARG001 - every handler is called alike
    return {"pullTimeUpdateExclusions": []}


async def _find(ecr: Registry, call: Call) -> tuple[Repository, Image, ImageId]:
    """The image that `imageId` names. Raises RepositoryNotFound, ImageNotFound, ParameterInvalid."""
    repository = await ecr.repositories.find(registry_of(call), name_of(call))
    wanted = ImageId(call.params["imageId"].get("imageDigest"), call.params["imageId"].get("imageTag"))
    (image,) = await ecr.images.find(repository, [wanted])
    return repository, image, wanted


def _render_id(image: Image, wanted: ImageId) -> Result:
    return {"imageDigest": image.digest, **({"imageTag": wanted.tag} if wanted.tag else {})}
