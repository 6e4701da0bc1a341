"""What an inspection finds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Self


class Kind(Enum):
    """Kinds of faults: the name that people and programs read, what it means, what mending does."""

    value: tuple[str, str, str]

    BYTES_MISSING = (
        "bytes-missing",
        "the store does not have the bytes of a blob",
        "the blob counts as absent, so that pushing it again to any repository makes all images whole that need it",
    )
    BYTES_WRONG = (
        "bytes-wrong",
        "the bytes of a blob are not what its digest says",
        "the blob counts as absent, so that pushing it again to any repository makes all images whole that need it",
    )
    SIZE_WRONG = ("size-wrong", "a blob has another size than its row says", "the row says the size that it has")
    KEY_CONDEMNED = ("key-condemned", "the bytes of a blob are about to be deleted", "they are not")
    BLOB_UNLINKED = ("blob-unlinked", "no repository has a blob", "the collector takes it")
    TAG_DANGLING = ("tag-dangling", "a tag names an image that is not there", "the tag is deleted")
    MANIFEST_DAMAGED = (
        "manifest-damaged",
        "a manifest is not what its digest says, or cannot be read",
        "the image and its tags are deleted, so that it can be pushed again",
    )
    REFERENCES_WRONG = (
        "references-wrong",
        "what is recorded of the blobs and images that a manifest names is not what it names",
        "it is recorded anew",
    )
    DESCRIPTION_WRONG = (
        "description-wrong",
        "what is recorded of a manifest (subject, type, size, annotations) is not what it says",
        "it is recorded anew",
    )
    LINK_MISSING = ("link-missing", "a repository lacks a blob that its image names and others have", "it has it")
    BLOB_LOST = ("blob-lost", "an image names a blob that the registry does not have", "")
    LINK_KEPT = ("link-kept", "a blob that no image of its repository names is kept for ever", "its grace begins")
    ROW_STRAY = ("row-stray", "rows of a repository that is gone are left", "they are deleted")
    UPLOAD_LOST = (
        "upload-lost",
        "the bytes of an upload under way are gone",
        "the upload ends: its client begins again",
    )

    @property
    def word(self) -> str:
        return self.value[0]


_BY_WORD = {kind.word: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. `images` are those that suffer, as `account/region/repository@digest (tags)`."""

    kind: Kind
    where: str
    what: str
    images: tuple[str, ...] = ()
    mended: bool = False

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "kind": self.kind.word, "images": list(self.images)}

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError."""
        return cls(**{**found, "kind": _BY_WORD[found["kind"]], "images": tuple(found["images"])})
