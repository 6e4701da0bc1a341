"""Media types that this registry knows by name. Anything else is kept as it is declared."""

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

IMAGES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})

OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
_NONDISTRIBUTABLE_PREFIX = "application/vnd.oci.image.layer.nondistributable.v1"


def is_nondistributable(media_type: str) -> bool:
    """Whether layers of this type may live elsewhere and need not be pushed."""
    return media_type == DOCKER_FOREIGN_LAYER or media_type.startswith(_NONDISTRIBUTABLE_PREFIX)
