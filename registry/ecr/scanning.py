"""What is to be scanned (PutImageScanningConfiguration, BatchGetRepositoryScanningConfiguration). It is kept and shown; nothing
is scanned."""

from registry.ecr.call import Call, Registry, Result, name_of, read_name, registry_of
from registry.errors import RepositoryNotFound
from registry.rows import Repository


async def put_image_scanning_configuration(ecr: Registry, call: Call) -> Result:
    on_push = call.params["imageScanningConfiguration"].get("scanOnPush", False)
    repository = await ecr.repositories.find(registry_of(call), name_of(call))
    await ecr.repositories.set_scan_on_push(repository, scan=on_push)
    return {
        "registryId": repository.registry.account,
        "repositoryName": repository.name,
        "imageScanningConfiguration": {"scanOnPush": on_push},
    }


async def batch_get_repository_scanning_configuration(ecr: Registry, call: Call) -> Result:
    registry = registry_of(call)
    found, failures = [], []
    for name in dict.fromkeys(read_name(text, "repositoryNames") for text in call.params["repositoryNames"]):
        try:
            found.append(_render(await ecr.repositories.find(registry, name)))
        except RepositoryNotFound as error:
            failures.append(
                {"repositoryName": name, "failureCode": "REPOSITORY_NOT_FOUND", "failureReason": error.message}
            )
    return {"scanningConfigurations": found, "failures": failures}


def _render(repository: Repository) -> Result:
    return {
        "repositoryArn": repository.registry.arn(repository.name),
        "repositoryName": repository.name,
        "scanOnPush": repository.scan_on_push,
        "scanFrequency": "SCAN_ON_PUSH" if repository.scan_on_push else "MANUAL",
        "appliedScanFilters": [],
    }
