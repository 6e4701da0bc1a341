"""Images made from this machine's own files, since none can be had from outside: root file systems and OCI layouts."""

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
IMAGE_INDEX = "application/vnd.oci.image.index.v1+json"
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

APPLETS = ("sh", "cat", "echo", "sha256sum", "ls", "true")
Descriptor = dict[str, Any]


def noise(size: int, seed: str) -> bytes:
    """`size` bytes that do not compress, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def archive(files: Mapping[str, bytes], *, programs: Path | None = None) -> bytes:
    """A tar of `files` by path; with `programs`, a static busybox, also /bin with its applets."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
        if programs is not None:
            content = programs.read_bytes()
            entry = tarfile.TarInfo("bin/busybox")
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
            for applet in APPLETS:
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Image:
    """A manifest with the bytes of all it names, by digest."""

    manifest: bytes
    blobs: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        return sha256(self.manifest)

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.manifest)


def image(
    layers: Sequence[bytes],
    *,
    architecture: str = "amd64",
    command: Sequence[str] = (),
    media_types: tuple[str, str, str] = (IMAGE_MANIFEST, IMAGE_CONFIG, LAYER),
) -> Image:
    """An image of `layers`, each the bytes of a tar."""
    compressed = [gzip.compress(layer, compresslevel=1, mtime=0) for layer in layers]
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": list(command)},
            "rootfs": {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]},
            "history": [{"created_by": "test"} for _ in layers],
        }
    ).encode()
    of_manifest, of_config, of_layer = media_types
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": of_manifest,
            "config": describe(of_config, config),
            "layers": [describe(of_layer, layer) for layer in compressed],
        }
    ).encode()
    return Image(manifest, {sha256(blob): blob for blob in [config, *compressed]})


def describe(media_type: str, content: bytes, **more: Any) -> Descriptor:
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content), **more}


class Layout:
    """An OCI image layout directory, as skopeo, crane, oras and regctl read it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "blobs" / "sha256").mkdir(parents=True)
        (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.tags: dict[str, Descriptor] = {}

    def _keep(self, content: bytes) -> None:
        (self.directory / "blobs" / "sha256" / sha256(content).removeprefix("sha256:")).write_bytes(content)

    def add(self, item: Image, **platform: str) -> Descriptor:
        for content in [*item.blobs.values(), item.manifest]:
            self._keep(content)
        more = {"platform": platform} if platform else {}
        return describe(IMAGE_MANIFEST, item.manifest, **more)

    def add_index(self, children: Sequence[Descriptor]) -> Descriptor:
        index = json.dumps({"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": list(children)}).encode()
        self._keep(index)
        return describe(IMAGE_INDEX, index)

    def tag(self, name: str, descriptor: Descriptor) -> None:
        self.tags[name] = {**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}}
        document = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": list(self.tags.values())}
        (self.directory / "index.json").write_text(json.dumps(document))


def multi_platform(directory: Path, tag: str, programs: Path) -> tuple[Layout, Descriptor]:
    """A layout with an index of two platforms under `tag`; each image prints its architecture."""
    layout = Layout(directory)
    children = [
        layout.add(
            image(
                [archive({}, programs=programs), archive({"platform": f"{architecture}\n".encode()})],
                architecture=architecture,
                command=["/bin/cat", "/platform"],
            ),
            architecture=architecture,
            os="linux",
        )
        for architecture in ("amd64", "arm64")
    ]
    index = layout.add_index(children)
    layout.tag(tag, index)
    return layout, index
