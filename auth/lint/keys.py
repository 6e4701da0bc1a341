"""Condition keys by themselves."""

from auth.lint.ground import Ground


def check_key(written: str, ground: Ground) -> str:
    """Why no request has such a key, or nothing."""
    known = ground.catalogue
    if known.key(written) is not None:
        return ""
    service, colon, name = written.partition(":")
    if not colon or not name:
        return f"{written!r} has no prefix, as in aws:SourceIp" + ground.suggest(f"aws:{written}", lambda: known.keys)
    tagged = known.key(f"{written}/x")
    if tagged is not None:
        return f"{written} is followed by a tag's key, as in {tagged.name}team"
    if "." in service or "/" in service:  # a claim of an identity provider
        return ""
    lowered = service.lower()
    if lowered == "aws" or lowered in known.services:
        return f"there is no key {written}" + ground.suggest(written, lambda: known.keys)
    if lowered not in known.prefixes and lowered != "saml":
        return f"there is no service {service!r}" + ground.suggest(written, lambda: known.keys)
    return ""
