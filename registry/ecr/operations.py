"""The operations of the ECR API, as a table: name, handler, and the leave it needs.

IAM actions and resources are those of the Service Authorization Reference, "Actions, resources, and condition keys for
Amazon Elastic Container Registry".
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from auth.access import Access, Principal, requested_tags
from aws.dispatch import Operation, Service
from aws.errors import AwsError, Common
from aws.validate import report_first
from registry.accesses import creation
from registry.ecr import absent, authorization, images, layers, policies, repositories, scanning, templates
from registry.ecr.call import Call, Registry, Result, name_of, read_name, registry_of
from registry.errors import TABLE, ReadOnly, RegistryError, StorageFull, Unavailable
from registry.outages import outage

Handler: TypeAlias = Callable[[Registry, Call], Awaitable[Result]]
Accesses: TypeAlias = Callable[[Call], Iterable[Access]]


@dataclass(frozen=True, slots=True)
class Row:
    """One operation. A row without the accesses that it asks for cannot be made."""

    handler: Handler
    accesses: Accesses

    @property
    def name(self) -> str:
        """The operation that the handler is called after."""
        return "".join(word.capitalize() for word in self.handler.__name__.split("_"))


def _on_repository(action: str) -> Accesses:
    return lambda call: [Access(f"ecr:{action}", registry_of(call).arn(name_of(call)))]


def _on_everything(action: str) -> Accesses:
    return lambda _: [Access(f"ecr:{action}", "*")]


def _on_setting(action: str) -> Accesses:
    return lambda call: [Access(f"ecr:{action}", "*", (("ecr:AccountSetting", call.params["name"]),))]


def _on_resource(action: str) -> Accesses:
    """With the keys of the tags that are put or taken away."""

    def accesses(call: Call) -> list[Access]:
        registry, name = repositories.resource_of(call)
        keys = requested_tags(call.params.get("tags", ()))
        if "tagKeys" in call.params:
            keys = (("aws:TagKeys", tuple(call.params["tagKeys"])),)
        return [Access(f"ecr:{action}", registry.arn(name), keys)]

    return accesses


def _create(call: Call) -> list[Access]:
    return creation(registry_of(call).arn(name_of(call)), call.params.get("tags", ()))


def _describe(call: Call) -> list[Access]:
    """Without names it is every repository that one may describe, or none."""
    registry = registry_of(call)
    names = call.params.get("repositoryNames")
    wanted = [read_name(name, "repositoryNames") for name in names] if names else ["*"]
    return [Access("ecr:DescribeRepositories", registry.arn(name)) for name in wanted]


def _on_each(action: str) -> Accesses:
    """On all repositories that are named."""

    def accesses(call: Call) -> list[Access]:
        registry = registry_of(call)
        names = [read_name(name, "repositoryNames") for name in call.params["repositoryNames"]]
        return [Access(f"ecr:{action}", registry.arn(name)) for name in names]

    return accesses


def _on_template(action: str) -> Accesses:
    """What a template will do in its maker's name, the maker has to be allowed to do."""

    def accesses(call: Call) -> list[Access]:
        prefix = templates.prefix_of(call)
        covered = registry_of(call).arn("*" if prefix == templates.ROOT else f"{prefix}/*")
        wanted = [Access(f"ecr:{action}", "*"), Access("ecr:CreateRepository", covered)]
        for member, dependent in _DEPENDENT.items():
            if call.params.get(member):
                wanted.append(Access(dependent, covered))
        if call.params.get("customRoleArn"):
            wanted.append(Access("iam:PassRole", call.params["customRoleArn"], _PASSED))
        return wanted

    return accesses


_DEPENDENT: Final = {
    "resourceTags": "ecr:TagResource",
    "repositoryPolicy": "ecr:SetRepositoryPolicy",
    "lifecyclePolicy": "ecr:PutLifecyclePolicy",
}
_PASSED: Final = (("iam:PassedToService", "ecr.amazonaws.com"),)

OPERATIONS: Final = (
    Row(repositories.create_repository, _create),
    Row(repositories.describe_repositories, _describe),
    Row(repositories.delete_repository, _on_repository("DeleteRepository")),
    Row(repositories.put_image_tag_mutability, _on_repository("PutImageTagMutability")),
    Row(repositories.tag_resource, _on_resource("TagResource")),
    Row(repositories.untag_resource, _on_resource("UntagResource")),
    Row(repositories.list_tags_for_resource, _on_resource("ListTagsForResource")),
    Row(repositories.describe_registry, _on_everything("DescribeRegistry")),
    Row(images.list_images, _on_repository("ListImages")),
    Row(images.describe_images, _on_repository("DescribeImages")),
    # no action of its own is asked for (ECR API reference)
    Row(images.list_image_referrers, _on_repository("BatchGetImage")),
    Row(images.batch_get_image, _on_repository("BatchGetImage")),
    Row(images.batch_delete_image, _on_repository("BatchDeleteImage")),
    Row(images.put_image, _on_repository("PutImage")),
    Row(scanning.put_image_scanning_configuration, _on_repository("PutImageScanningConfiguration")),
    Row(scanning.batch_get_repository_scanning_configuration, _on_each("BatchGetRepositoryScanningConfiguration")),
    Row(layers.batch_check_layer_availability, _on_repository("BatchCheckLayerAvailability")),
    Row(layers.initiate_layer_upload, _on_repository("InitiateLayerUpload")),
    Row(layers.upload_layer_part, _on_repository("UploadLayerPart")),
    Row(layers.complete_layer_upload, _on_repository("CompleteLayerUpload")),
    Row(layers.get_download_url_for_layer, _on_repository("GetDownloadUrlForLayer")),
    Row(policies.set_repository_policy, _on_repository("SetRepositoryPolicy")),
    Row(policies.get_repository_policy, _on_repository("GetRepositoryPolicy")),
    Row(policies.delete_repository_policy, _on_repository("DeleteRepositoryPolicy")),
    Row(policies.put_registry_policy, _on_everything("PutRegistryPolicy")),
    Row(policies.get_registry_policy, _on_everything("GetRegistryPolicy")),
    Row(policies.delete_registry_policy, _on_everything("DeleteRegistryPolicy")),
    Row(policies.get_account_setting, _on_setting("GetAccountSetting")),
    Row(policies.put_account_setting, _on_setting("PutAccountSetting")),
    Row(authorization.get_authorization_token, _on_everything("GetAuthorizationToken")),
    Row(templates.create_repository_creation_template, _on_template("CreateRepositoryCreationTemplate")),
    Row(templates.update_repository_creation_template, _on_template("UpdateRepositoryCreationTemplate")),
    Row(templates.delete_repository_creation_template, _on_everything("DeleteRepositoryCreationTemplate")),
    Row(templates.describe_repository_creation_templates, _on_everything("DescribeRepositoryCreationTemplates")),
    Row(absent.get_lifecycle_policy, _on_repository("GetLifecyclePolicy")),
    Row(absent.get_lifecycle_policy_preview, _on_repository("GetLifecyclePolicyPreview")),
    Row(absent.describe_image_scan_findings, _on_repository("DescribeImageScanFindings")),
    Row(absent.get_registry_scanning_configuration, _on_everything("GetRegistryScanningConfiguration")),
    Row(absent.describe_image_replication_status, _on_repository("DescribeImageReplicationStatus")),
    Row(absent.describe_pull_through_cache_rules, _on_everything("DescribePullThroughCacheRules")),
    Row(absent.get_signing_configuration, _on_everything("GetSigningConfiguration")),
    Row(absent.describe_image_signing_status, _on_repository("DescribeImageSigningStatus")),
    Row(absent.list_pull_time_update_exclusions, _on_everything("ListPullTimeUpdateExclusions")),
)


def make_service(ecr: Registry) -> Service[Principal, Access]:
    """The service `ecr` of the dispatcher, over these use-cases."""
    return Service(
        name="ecr",
        operations=tuple(Operation(row.name, partial(row.handler, ecr), row.accesses) for row in OPERATIONS),
        report=report_first("InvalidParameterException", plain={"repositoryName"}),
        fault_code="ServerException",
    )


def translate(error: Exception) -> AwsError | None:
    """A domain error in the words of the ECR API, or None for an error that is none."""
    told = outage(error)
    if told is not None:  # every service says it by the error that all share
        return Common.SERVICE_UNAVAILABLE.error(told.message)
    if isinstance(error, Unavailable | ReadOnly | StorageFull):
        return Common.SERVICE_UNAVAILABLE.error(error.message)
    if not isinstance(error, RegistryError):
        return None
    row = TABLE[type(error)]
    return AwsError(row.exception, error.message, status=row.exception_status, fields=error.fields)
