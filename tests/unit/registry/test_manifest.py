import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base.digest import digest_of
from registry import media
from registry.manifest import (
    MAX_REFERENCES,
    Descriptor,
    Manifest,
    ManifestMalformed,
    MediaTypeUnknown,
    NotJson,
    parse_manifest,
)

CONFIG, LAYER, OTHER = (str(digest_of(text.encode())) for text in ("config", "layer", "other"))
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
ARTIFACT = "application/vnd.example.sbom.v1+json"


def descriptor(digest: str = LAYER, size: Any = 7, media_type: Any = LAYER_TYPE, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size, **more}


def image(**changes: Any) -> dict[str, Any]:
    document = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": descriptor(CONFIG, 3, CONFIG_TYPE),
        "layers": [descriptor()],
    }
    document.update(changes)
    return {key: value for key, value in document.items() if value is not ...}


def index(**changes: Any) -> dict[str, Any]:
    document = {
        "schemaVersion": 2,
        "mediaType": media.OCI_INDEX,
        "manifests": [descriptor(OTHER, 100, media.OCI_MANIFEST)],
    }
    document.update(changes)
    return {key: value for key, value in document.items() if value is not ...}


def parse(document: Any, declared: str | None = None) -> Manifest:
    return parse_manifest(json.dumps(document).encode(), declared)


# -- the known forms


@pytest.mark.parametrize("media_type", sorted(media.IMAGES))
@pytest.mark.parametrize("declared", [True, False])
def test_an_image_references_its_config_and_layers(media_type: str, declared: bool):
    manifest = parse(image(mediaType=media_type), media_type if declared else None)
    assert manifest.media_type == media_type
    assert manifest.references == (
        Descriptor(CONFIG_TYPE, CONFIG, 3, "blob", required=True),  # type: ignore[arg-type]
        Descriptor(LAYER_TYPE, LAYER, 7, "blob", required=True),  # type: ignore[arg-type]
    )
    assert (manifest.size, manifest.subject) == (10, None)
    assert manifest.artifact_type == CONFIG_TYPE


@pytest.mark.parametrize("media_type", sorted(media.INDEXES))
def test_an_index_references_its_children_and_has_no_layers(media_type: str):
    manifest = parse(index(mediaType=media_type))
    assert [(one.digest, one.kind, one.required) for one in manifest.references] == [(OTHER, "either", True)]
    assert (manifest.size, manifest.artifact_type) == (0, None)


def test_an_index_may_be_empty():
    manifest = parse(index(manifests=[]))
    assert manifest.references == ()


def test_an_image_may_have_no_layers():
    assert [one.digest for one in parse(image(layers=[])).references] == [CONFIG]
    assert [one.digest for one in parse(image(layers=...)).references] == [CONFIG]


@pytest.mark.parametrize("form", [image, index])
def test_a_manifest_may_be_about_another_one_that_is_no_reference(form: Any):
    manifest = parse(form(subject=descriptor(OTHER, 9, media.OCI_MANIFEST)))
    plain = parse(form())
    assert (manifest.subject, plain.subject) == (OTHER, None)
    assert manifest.references == plain.references


def test_the_artifact_type_is_its_own_or_the_configs():
    assert parse(image(artifactType=ARTIFACT)).artifact_type == ARTIFACT
    assert parse(image(artifactType="")).artifact_type == CONFIG_TYPE
    assert parse(index(artifactType=ARTIFACT)).artifact_type == ARTIFACT


def test_annotations_are_kept():
    assert parse(image(annotations={"a": "b", "c": ""})).annotations == {"a": "b", "c": ""}
    assert parse(image()).annotations == {}


def test_another_type_is_kept_and_its_descriptors_are_references():
    document = {
        "config": descriptor(CONFIG, 3), "layers": [descriptor()], "blobs": [descriptor(OTHER)], "more": [1.5, None, {}],
    }  # fmt: skip
    manifest = parse(document, "application/vnd.example+json")
    assert [(one.digest, one.kind) for one in manifest.references] == [
        (CONFIG, "blob"),
        (LAYER, "blob"),
        (OTHER, "blob"),
    ]
    children = parse({"manifests": [descriptor(OTHER)]}, "application/vnd.example+json")
    assert [(one.digest, one.kind) for one in children.references] == [(OTHER, "either")]
    assert parse({}, "application/vnd.example+json").references == ()
    assert parse({"config": "a text", "x": 1}, "application/vnd.example+json").references == ()


@pytest.mark.parametrize(
    "media_type",
    [media.DOCKER_FOREIGN_LAYER, "application/vnd.oci.image.layer.nondistributable.v1.tar",
     "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"],
)  # fmt: skip
def test_layers_that_may_live_elsewhere_are_not_required(media_type: str):
    manifest = parse(image(layers=[descriptor(media_type=media_type, urls=["https://example.com/layer"])]))
    assert [one.required for one in manifest.references] == [True, False]


def test_the_bytes_may_have_any_layout():
    text = "\n\t " + json.dumps(image(), indent=7) + "\r\n  "
    assert parse_manifest(text.encode(), None).references == parse(image()).references


# -- what is no manifest


@pytest.mark.parametrize(
    "content",
    [b"", b" ", b"{", b"hello", b"[]", b"1", b'"text"', b"null", b"true", b"{} {}", b"{'a': 1}", b'{"a": 1,}', b"\xff\xfe{}",
     b"\xef\xbb\xbf{}", b'{"a": "\x80"}', b'{"a": "\t"}', b"\x00", b"{}\x00", b'{"size": 01}',
     json.dumps({"a": 1}).encode("utf-16")],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(content: bytes):
    with pytest.raises(NotJson):
        parse_manifest(content, "application/vnd.example+json")


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_only_python_takes_for_json_is_refused(constant: str):
    with pytest.raises(NotJson, match=constant):
        parse_manifest(f'{{"a": {constant}}}'.encode(), "application/vnd.example+json")


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
@pytest.mark.parametrize("closed", [True, False])
def test_a_hundred_thousand_levels_are_refused(opening: str, closed: bool):
    ending = {"[": "]", '{"a":': "}", '[{"a":': "}]"}[opening]
    text = '{"x":' + opening * 100_000 + "1" + (ending * 100_000 + "}" if closed else "")
    with pytest.raises(NotJson, match="nested too deeply"):
        parse_manifest(text.encode(), media.OCI_MANIFEST)


@pytest.mark.parametrize(
    "content",
    [b'{"config": 1, "config": 2}', b'{"a": {"size": 1, "size": 1}}', b'{"a": [{"b": 1, "\\u0062": 2}]}'],
)
def test_a_member_that_is_there_twice_is_refused(content: bytes):
    with pytest.raises(NotJson, match="same member twice"):
        parse_manifest(content, "application/vnd.example+json")


def test_numbers_of_any_length_are_no_trap():
    for number in ("9" * 5000, "1e999", "-" + "1" * 5000):
        with pytest.raises(ManifestMalformed):
            parse_manifest(json.dumps(image()).replace('"size": 7', f'"size": {number}').encode(), None)


def test_image_and_index_at_once_is_refused():
    for changes in ({"manifests": []}, {"manifests": [descriptor()]}, {"manifests": None}):
        with pytest.raises(ManifestMalformed, match="not both"):
            parse(image(**changes))
    for member in ("layers", "config", "fsLayers"):
        with pytest.raises(ManifestMalformed, match="not both"):
            parse(index(**{member: []}))
        with pytest.raises(ManifestMalformed, match="not both"):
            parse({"manifests": [], member: []}, "application/vnd.example+json")


@pytest.mark.parametrize("version", [..., 1, 3, "2", None, True, 2.5, [2]])
def test_a_known_type_has_schema_version_2(version: Any):
    for form in (image, index):
        with pytest.raises(ManifestMalformed, match="schemaVersion"):
            parse(form(schemaVersion=version))


@pytest.mark.parametrize(
    "document",
    [
        image(config=...), image(config=None), image(config="x"), image(config=[]), image(layers={}), image(layers="x"),
        image(layers=None), image(layers=[None]), image(layers=["x"]), image(layers=[[]]), index(manifests=...),
        index(manifests=None), index(manifests={}), index(manifests=["x"]), image(subject="x"), image(subject=[]),
        image(subject={}), image(annotations=[]), image(annotations={"a": 1}), image(annotations={"a": None}),
        image(mediaType=5), image(mediaType=["x"]),
    ],
)  # fmt: skip
def test_members_of_another_form_are_refused(document: Any):
    with pytest.raises(ManifestMalformed):
        parse(document, media.OCI_INDEX if "manifests" in document or "config" not in document else media.OCI_MANIFEST)


@pytest.mark.parametrize("member", ["layers", "blobs", "manifests"])
@pytest.mark.parametrize("value", [{}, "x", 5, [5], [None]])
def test_lists_of_descriptors_are_that_in_any_type(member: str, value: Any):
    with pytest.raises(ManifestMalformed, match=member):
        parse({member: value}, "application/vnd.example+json")


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"digest": ...}, "digest"), ({"digest": 5}, "digest"), ({"digest": "sha256:abc"}, "digest"),
        ({"digest": "md5:" + "a" * 32}, "digest"), ({"digest": LAYER.upper()}, "digest"), ({"size": ...}, "size"),
        ({"size": "7"}, "size"), ({"size": -1}, "size"), ({"size": 1.0}, "size"), ({"size": True}, "size"),
        ({"size": None}, "size"), ({"size": 2**63}, "size"), ({"size": 10**400}, "size"), ({"mediaType": 5}, "mediaType"),
        ({"mediaType": None}, "mediaType"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["config", "layers", "manifests", "subject"])
def test_a_descriptor_has_a_digest_and_a_size(changes: dict[str, Any], part: str, place: str):
    broken = {key: value for key, value in {**descriptor(), **changes}.items() if value is not ...}
    document = {
        "config": image(config=broken), "layers": image(layers=[descriptor(), broken]),
        "manifests": index(manifests=[broken]), "subject": image(subject=broken),
    }[place]  # fmt: skip
    with pytest.raises(ManifestMalformed, match=rf"{place}(\[\d\])?\.{part}"):
        parse(document)


def test_the_largest_size_is_taken():
    assert parse(image(config=descriptor(CONFIG, 0), layers=[descriptor(size=2**63 - 1)])).size == 2**63 - 1


def test_sizes_whose_sum_no_database_holds_are_refused():
    with pytest.raises(ManifestMalformed, match="size"):
        parse(image(layers=[descriptor(size=2**62), descriptor(OTHER, size=2**62)]))


# -- media types


def test_the_media_type_is_the_declared_one_or_the_documents():
    assert parse(image(), media.OCI_MANIFEST).media_type == media.OCI_MANIFEST
    assert parse(image(), "").media_type == media.OCI_MANIFEST
    assert parse(image(mediaType=...), media.OCI_MANIFEST).media_type == media.OCI_MANIFEST
    assert parse(image(mediaType=""), media.OCI_MANIFEST).media_type == media.OCI_MANIFEST


def test_two_media_types_that_differ_are_refused():
    with pytest.raises(ManifestMalformed, match="differs"):
        parse(image(), media.DOCKER_MANIFEST)
    with pytest.raises(ManifestMalformed, match="differs"):
        parse(image(), "application/json")


def test_a_manifest_without_a_media_type_is_refused():
    with pytest.raises(MediaTypeUnknown):
        parse(image(mediaType=...))
    with pytest.raises(MediaTypeUnknown):
        parse({}, "")


@pytest.mark.parametrize(
    "media_type",
    ["application/x\r\nSet-Cookie: a=b", "application/x\ny", "text", "a/b/c", "/", "application/", "/json", "a b/c",
     "\udc80/\udc80", "application/\u00e4", "application/x\0", "application/" + "x" * 300, "*/*", " application/json"],
)  # fmt: skip
def test_a_media_type_that_no_header_can_carry_is_refused(media_type: str):
    for document, declared in (
        (image(mediaType=media_type), None),
        ({}, media_type),
        ({"mediaType": media_type}, media_type),
    ):
        with pytest.raises(ManifestMalformed, match="is not a media type"):
            parse(document, declared)


@pytest.mark.parametrize("artifact_type", ["\ud800", "a\0b", "application/x\n"])
def test_an_artifact_type_that_no_database_can_hold_is_refused(artifact_type: str):
    with pytest.raises(ManifestMalformed, match="artifactType"):
        parse(image(artifactType=artifact_type))
    with pytest.raises(ManifestMalformed, match="artifactType"):
        parse(image(config=descriptor(CONFIG, 3, artifact_type)))


def test_an_image_that_calls_itself_an_index_is_refused():
    for media_type in media.INDEXES:
        with pytest.raises(ManifestMalformed):
            parse(image(mediaType=media_type))
    for media_type in media.IMAGES:
        with pytest.raises(ManifestMalformed):
            parse(index(mediaType=media_type))


# -- limits


def test_there_is_a_limit_to_what_one_manifest_names():
    many = [descriptor() for _ in range(MAX_REFERENCES)]
    assert len(parse(index(manifests=many)).references) == MAX_REFERENCES
    with pytest.raises(ManifestMalformed, match="limit"):
        parse(index(manifests=[*many, descriptor()]))


@settings(max_examples=300)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(LAYER),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["config", "layers", "blobs", "manifests", "subject", "mediaType", "digest", "size", "annotations",
                 "artifactType", "schemaVersion"]
            ),
            inner,
            max_size=5,
        ),
        max_leaves=20,
    ),
    st.sampled_from([None, "", media.OCI_MANIFEST, media.OCI_INDEX, "application/vnd.example+json"]),
)  # fmt: skip
def test_whatever_comes_is_a_manifest_or_malformed(document: Any, declared: str | None):
    with contextlib.suppress(ManifestMalformed):
        manifest = parse(document, declared)
        assert manifest.media_type
        assert 0 <= manifest.size < 2**63


@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_a_manifest_or_malformed(content: bytes):
    with pytest.raises(ManifestMalformed):
        parse_manifest(content, None)
