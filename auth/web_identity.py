"""Tokens of OpenID Connect issuers, checked as AssumeRoleWithWebIdentity wants them.

(OpenID Connect Core 1.0, "ID Token Validation"; IAM User Guide, "Pass session tags in AWS STS" and "Available keys for
AWS OIDC federation". The words of the errors are AWS's where they are known.)
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from auth.access import Value
from auth.issuers import Key, is_service_name

CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
ALGORITHMS: Final = RSA | CURVES.keys()
_RSA_BITS: Final = range(2048, 8193)
_SKEW: Final = 60
"""Seconds by which an issuer's clock may be ahead."""
_LONGEST: Final = 255
"""Characters of a subject or audience."""
_LONGEST_AUDIENCES: Final = 1024
"""Characters of all audiences that a session keeps; a token of it has to fit into a header field."""
_MAX_CLAIMS: Final = 100
_CHECKED: Final = frozenset({"aud", "sub", "oaud", "amr"})
"""Condition keys that are not simply what a claim says."""
_LONGEST_CLAIM: Final = 2048
_AWS: Final = "https://aws.amazon.com/"
_TAGS: Final = f"{_AWS}tags"
_SOURCE_IDENTITY: Final = f"{_AWS}source_identity"
_SOURCE: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_TAG_MARKS: Final = frozenset("_.:/=+-@")
_NOT_A_JWT: Final = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"


class IdentityTokenInvalid(ValueError):
    """STS's InvalidIdentityToken."""


class IdentityTokenExpired(ValueError):
    """STS's ExpiredTokenException."""


class ClaimRejected(ValueError):
    """STS's IDPRejectedClaim: a claim that is for AWS, and cannot be used."""


@dataclass(frozen=True, slots=True)
class IdentityToken:
    """What a token says. Nothing of it is proven before `verify`."""

    text: str
    algorithm: str
    key_id: str | None
    issuer: str
    claims: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WebIdentity:
    """Whom a token is about, and for whom it was made. `keys` are the issuer's condition keys."""

    subject: str
    audience: str
    keys: tuple[tuple[str, Value], ...]
    lasting: tuple[tuple[str, Value], ...]
    """Those of `keys` that a session keeps."""
    tags: tuple[tuple[str, str], ...]
    transitive: tuple[str, ...]
    source_identity: str


def read_token(text: str) -> IdentityToken:
    """Raises IdentityTokenInvalid."""
    try:
        header = jwt.get_unverified_header(text)
        claims = jwt.decode(text, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise IdentityTokenInvalid(_NOT_A_JWT) from error
    algorithm, key_id, issuer = header.get("alg"), header.get("kid"), claims.get("iss")
    if (
        not isinstance(algorithm, str)
        or algorithm not in ALGORITHMS
        or not (key_id is None or isinstance(key_id, str))
        or "crit" in header
    ):
        raise IdentityTokenInvalid(_NOT_A_JWT)
    if not isinstance(issuer, str) or not issuer:
        raise IdentityTokenInvalid("Missing a required claim: iss")
    return IdentityToken(text, algorithm, key_id, issuer, claims)


def check_claims(token: IdentityToken, client_ids: Sequence[str], now: float) -> WebIdentity:
    """Everything but the signature. Raises IdentityTokenInvalid, IdentityTokenExpired, ClaimRejected."""
    claims = token.claims
    expires = _time(claims, "exp")
    if expires is None:
        raise IdentityTokenInvalid("Missing a required claim: exp")
    if expires <= now:
        raise IdentityTokenExpired(
            f"Token expired: current date/time {int(now)} must be before the expiration date/time{int(expires)}"
        )
    if any((_time(claims, name) or 0.0) > now + _SKEW for name in ("nbf", "iat")):
        raise IdentityTokenInvalid("The token is not valid yet")
    subject = _subject(claims)
    audience = _audience(claims, client_ids)
    prefix = token.issuer.partition("://")[2]
    if is_service_name(prefix):
        raise IdentityTokenInvalid(f"{token.issuer} is no issuer whose claims can be told from a service's keys")
    lasting: dict[str, Value] = {f"{prefix}:aud": audience, f"{prefix}:sub": subject}
    if "azp" in claims:
        lasting[f"{prefix}:oaud"] = _audiences(claims)
    if "amr" in claims:
        lasting[f"{prefix}:amr"] = _methods(claims["amr"])
    others = {
        f"{prefix}:{name}": value
        for name, claim in _unmistakable(claims)
        if not name.startswith(_AWS) and (value := _claim(claim)) is not None
    }
    tags, transitive = _tags(claims)
    source_identity = claims.get(_SOURCE_IDENTITY, "")
    if source_identity != "" and not (isinstance(source_identity, str) and _SOURCE.fullmatch(source_identity)):
        raise ClaimRejected(f"The claim {_SOURCE_IDENTITY} is not valid.")
    return WebIdentity(
        subject,
        audience,
        (*lasting.items(), *others.items()),
        tuple(lasting.items()),
        tags,
        transitive,
        source_identity,
    )


def _unmistakable(claims: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The claims that are condition keys by their own names. Case means nothing there, so none may pass for one of those
    that are checked, or for another one."""
    spelt = Counter(name.lower() for name in claims)
    return [
        (name, claim)
        for name, claim in list(claims.items())[:_MAX_CLAIMS]
        if spelt[name.lower()] == 1 and name.lower() not in _CHECKED
    ]


def verify(token: IdentityToken, keys: Iterable[Key]) -> bool:
    """Whether one of the keys made the token's signature. Only its own kind of key is tried for an algorithm."""
    kind = "RSA" if token.algorithm in RSA else "EC"
    for key in keys:
        if (
            key.get("kty") != kind
            or key.get("use", "sig") != "sig"
            or key.get("alg", token.algorithm) != token.algorithm
        ):
            continue
        try:
            public = jwt.PyJWK(dict(key), algorithm=token.algorithm).key
            if not _is_strong(public, token.algorithm):
                continue
            jwt.PyJWS().decode(token.text, public, algorithms=[token.algorithm])
        except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError):
            continue
        return True
    return False


def _is_strong(key: Any, algorithm: str) -> bool:
    """And a public one: a set that gives a private key away is not to be believed."""
    if isinstance(key, RSAPublicKey):
        return key.key_size in _RSA_BITS
    return isinstance(key, EllipticCurvePublicKey) and key.curve.name == CURVES.get(algorithm)


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise IdentityTokenInvalid(f"The claim {name} is not a time")
    return float(value)


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise IdentityTokenInvalid("Missing a required claim: sub")
    if len(subject) > _LONGEST:
        raise IdentityTokenInvalid(f"The claim sub has more than {_LONGEST} characters")
    return subject


def _audience(claims: Mapping[str, Any], client_ids: Sequence[str]) -> str:
    """The client that the token is for: the authorized party where there is one, else one of the audience."""
    if "azp" in claims:
        candidates = _texts(claims["azp"])
    elif "aud" in claims:
        candidates = _texts(claims["aud"])
    else:
        raise IdentityTokenInvalid("Missing a required claim: aud")
    for candidate in candidates:
        if candidate in client_ids:
            return candidate
    raise IdentityTokenInvalid("Incorrect token audience")


def _audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of the token itself, where its authorized party counts."""
    audiences = _texts(claims.get("aud"))
    if sum(map(len, audiences)) > _LONGEST_AUDIENCES:
        raise ClaimRejected("The claim aud is not valid.")
    return audiences


def _texts(claim: Any) -> tuple[str, ...]:
    """A text or several."""
    found = claim if isinstance(claim, list) else [claim]
    return tuple(one for one in found if isinstance(one, str) and len(one) <= _LONGEST)[:_MAX_CLAIMS]


def _methods(claim: Any) -> tuple[str, ...]:
    methods = _texts(claim)
    if not isinstance(claim, list) or len(methods) != len(claim) or sum(map(len, methods)) > _LONGEST:
        raise ClaimRejected("The claim amr is not valid.")
    return methods


def _claim(claim: Any) -> Value | None:
    """As a context key's value; None for what cannot be one."""
    if isinstance(claim, bool):
        return "true" if claim else "false"
    if isinstance(claim, int | float):
        return str(claim)
    if isinstance(claim, str):
        return claim if len(claim) <= _LONGEST_CLAIM else None
    if isinstance(claim, list) and len(claim) <= _MAX_CLAIMS and all(isinstance(one, str) for one in claim):
        return tuple(claim) if sum(map(len, claim)) <= _LONGEST_CLAIM else None
    return None


def _tags(claims: Mapping[str, Any]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The tags of the claim https://aws.amazon.com/tags, nested or in its flattened form, and which are transitive."""
    nested = claims.get(_TAGS, {})
    if not isinstance(nested, dict):
        raise _bad_tags()
    given = nested.get("principal_tags", {})
    if not isinstance(given, dict):
        raise _bad_tags()
    flat = f"{_TAGS}/principal_tags/"
    given = {**given, **{name.removeprefix(flat): claims[name] for name in claims if name.startswith(flat)}}
    keys = nested.get("transitive_tag_keys", claims.get(f"{_TAGS}/transitive_tag_keys", []))
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _bad_tags()
    tags = []
    for key, value in given.items():
        (text,) = value if isinstance(value, list) and len(value) == 1 else (value,)
        if not (isinstance(text, str) and 0 < len(key) <= 128 and len(text) <= 256 and _may_tag(key + text)):
            raise _bad_tags()
        tags.append((key, text))
    return tuple(tags), tuple(keys)


def _may_tag(text: str) -> bool:
    r"""STS's `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`."""
    return all(letter in _TAG_MARKS or unicodedata.category(letter)[0] in "LZN" for letter in text)


def _bad_tags() -> ClaimRejected:
    return ClaimRejected(f"The claim {_TAGS} is not valid.")
