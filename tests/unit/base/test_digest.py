import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.digest import ALGORITHMS, DigestMalformed, algorithm_of, digest_of, new_hash, parse_digest

GOOD = ["sha256:" + "0123456789abcdef" * 4, "sha512:" + "f" * 128]
BAD = [
    "",
    "sha256",
    "sha256:",
    ":" + "a" * 64,
    "sha256:" + "a" * 63,
    "sha256:" + "a" * 65,
    "sha256:" + "A" * 64,
    "SHA256:" + "a" * 64,
    "sha256:" + "g" * 64,
    "sha256:" + "a" * 64 + "\n",
    "\nsha256:" + "a" * 64,
    "sha256: " + "a" * 63,
    "sha512:" + "a" * 64,
    "sha256:" + "a" * 128,
    "md5:" + "a" * 32,
    "sha384:" + "a" * 96,
    "sha256:" + "\u0661" * 64,
    "sha256+b64u:" + "a" * 43,
]


@pytest.mark.parametrize("text", GOOD)
def test_a_digest_of_a_known_algorithm_is_taken_as_it_is(text: str):
    assert parse_digest(text) == text
    assert algorithm_of(parse_digest(text)) == text.split(":", maxsplit=1)[0]


@pytest.mark.parametrize("text", BAD)
def test_anything_else_is_refused(text: str):
    with pytest.raises(DigestMalformed, match="is not a digest"):
        parse_digest(text)


def test_a_refusal_shows_no_more_than_a_line():
    with pytest.raises(DigestMalformed) as refused:
        parse_digest("x" * 100_000)
    assert len(str(refused.value)) < 400


@given(st.binary(max_size=300), st.sampled_from(ALGORITHMS))
def test_digests_of_bytes_are_their_hashes_and_parse(data: bytes, algorithm: str):
    digest = digest_of(data, algorithm)
    assert parse_digest(digest) == digest == f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    running = new_hash(algorithm)
    running.update(data)
    assert digest == f"{algorithm}:{running.hexdigest()}"


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "SHA256", ""])
def test_a_hash_of_an_unknown_algorithm_is_refused(algorithm: str):
    with pytest.raises(DigestMalformed, match="sha256, sha512"):
        new_hash(algorithm)
