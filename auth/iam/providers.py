"""OpenID Connect identity providers (CreateOpenIDConnectProvider, GetOpenIDConnectProvider, ListOpenIDConnectProviders,
DeleteOpenIDConnectProvider, UpdateOpenIDConnectProviderThumbprint, AddClientIDToOpenIDConnectProvider,
RemoveClientIDFromOpenIDConnectProvider, and their tags)."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final

from auth.access import Access, requested_tags
from auth.iam import tags
from auth.iam.call import (
    Call,
    Iam,
    Result,
    Row,
    invalid_input,
    limit_exceeded,
    on_arn,
    on_everything,
    validation,
)
from auth.iam.identities import shown_time
from auth.issuers import is_issuer
from auth.rows import providers as rows
from auth.rows import tags as tag_rows
from auth.rows.providers import StoredProvider
from aws.arn import Arn
from aws.errors import AwsError
from store.database import Unit

MAX_CLIENT_IDS: Final = 100
MAX_THUMBPRINTS: Final = 5
PROVIDERS_AT_MOST: Final = 100
_KIND: Final = "oidc-provider/"
_THUMBPRINT: Final = re.compile(r"[0-9a-fA-F]{40}", re.ASCII)


async def create_provider(iam: Iam, call: Call) -> Result:
    """Nobody connects to the issuer: certificates are checked when its keys are fetched, so that no thumbprint is needed."""
    params = call.params
    url = check_url(params["Url"], iam.plain_issuers)
    client_ids = _check_client_ids(params.get("ClientIDList", ()))
    thumbprints = _check_thumbprints(params.get("ThumbprintList", ()))
    given = tags.read_tags(params.get("Tags", ()))
    arn = _arn(call.account, url)
    provider = StoredProvider(arn, call.account, url, client_ids, thumbprints, iam.clock())

    def unit() -> Unit[None]:
        if not (yield from rows.insert_provider(provider)):
            raise AwsError("EntityAlreadyExistsException", f"Provider with url {url} already exists.", status=409)
        if (yield from rows.count_providers(call.account)) > PROVIDERS_AT_MOST:
            raise limit_exceeded(f"Cannot exceed quota for OpenIdConnectProvidersPerAccount: {PROVIDERS_AT_MOST}")
        yield from tags.put_tags(arn, given)

    await iam.epoch.change(unit)
    return {"OpenIDConnectProviderArn": arn, "Tags": tags.render_tags(given) or None}


async def get_provider(iam: Iam, call: Call) -> Result:
    provider = await _provider_of(iam, call)
    found = await tag_rows.list_tags_of(iam.database, [provider.arn])
    return {
        "Url": provider.arn.partition(_KIND)[2],
        "ClientIDList": provider.client_ids,
        "ThumbprintList": provider.thumbprints,
        "CreateDate": shown_time(provider.created_at),
        "Tags": tags.render_tags(found.get(provider.arn, ())),
    }


async def list_providers(iam: Iam, call: Call) -> Result:
    arns = await rows.list_provider_arns(iam.database, call.account)
    return {"OpenIDConnectProviderList": [{"Arn": arn} for arn in arns]}


async def delete_provider(iam: Iam, call: Call) -> Result:
    """Nothing is said of one that is not there."""
    arn = _checked(call)

    def unit() -> Unit[None]:
        yield from rows.delete_provider(arn)
        yield from tag_rows.delete_all_tags(arn)

    await iam.epoch.change(unit)
    return {}


async def update_thumbprints(iam: Iam, call: Call) -> Result:
    thumbprints = _check_thumbprints(call.params["ThumbprintList"])
    await _change(iam, call, lambda one: replace(one, thumbprints=thumbprints))
    return {}


async def add_client_id(iam: Iam, call: Call) -> Result:
    client_id = call.params["ClientID"]
    await _change(iam, call, lambda one: replace(one, client_ids=_check_client_ids((*one.client_ids, client_id))))
    return {}


async def remove_client_id(iam: Iam, call: Call) -> Result:
    """Nothing is said of one that is not there."""
    client_id = call.params["ClientID"]

    def without(one: StoredProvider) -> StoredProvider:
        return replace(one, client_ids=tuple(kept for kept in one.client_ids if kept != client_id))

    await _change(iam, call, without)
    return {}


async def tag_provider(iam: Iam, call: Call) -> Result:
    given = tags.read_tags(call.params["Tags"])
    arn = _checked(call)

    def unit() -> Unit[None]:
        yield from _read(arn)
        yield from tags.put_tags(arn, given)

    await iam.epoch.change(unit)
    return {}


async def untag_provider(iam: Iam, call: Call) -> Result:
    arn = _checked(call)

    def unit() -> Unit[None]:
        yield from _read(arn)
        yield from tag_rows.delete_tags(arn, call.params["TagKeys"])

    await iam.epoch.change(unit)
    return {}


async def list_provider_tags(iam: Iam, call: Call) -> Result:
    provider = await _provider_of(iam, call)
    return await tags.list_page(iam, provider.arn, call)


def check_url(url: str, plain_hosts: Collection[str]) -> str:
    """An issuer's address. Raises AwsError."""
    if not is_issuer(url, plain_hosts):
        raise validation("Invalid Open ID Connect Provider URL")
    return url


def _arn(account: str, url: str) -> str:
    return f"arn:aws:iam::{account}:{_KIND}{url.partition('://')[2]}"


def _check_client_ids(given: Sequence[str]) -> tuple[str, ...]:
    if len(set(given)) > MAX_CLIENT_IDS:
        raise limit_exceeded(f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {MAX_CLIENT_IDS}")
    return tuple(dict.fromkeys(given))


def _check_thumbprints(given: Sequence[str]) -> tuple[str, ...]:
    if len(given) > MAX_THUMBPRINTS:
        raise invalid_input("Thumbprint list must contain fewer than 5 entries.")
    if not all(map(_THUMBPRINT.fullmatch, given)):
        raise invalid_input("Thumbprints must be the hex-encoded SHA-1 hash value of a certificate.")
    return tuple(given)


def _checked(call: Call) -> str:
    """The ARN that the call names. Raises AwsError where it is none of a provider."""
    arn: str = call.params["OpenIDConnectProviderArn"]
    try:
        parsed = Arn.parse(arn)
    except ValueError as error:
        raise invalid_input(f"ARN {arn} is not valid.") from error
    if parsed.service != "iam" or not parsed.resource.startswith(_KIND):
        raise invalid_input(f"ARN {arn} is not valid.")
    if parsed.account != call.account:
        raise _no_such_provider(arn)
    return arn


def _no_such_provider(arn: str) -> AwsError:
    return AwsError("NoSuchEntityException", f"OpenIDConnect Provider not found for arn {arn}", status=404)


async def _provider_of(iam: Iam, call: Call) -> StoredProvider:
    arn = _checked(call)
    provider = await rows.find_provider_named(iam.database, arn)
    if provider is None:
        raise _no_such_provider(arn)
    return provider


def _read(arn: str) -> Unit[StoredProvider]:
    """Part of a unit. Raises AwsError where it is not there."""
    stored = yield from rows.read_provider(arn)
    if stored is None:
        raise _no_such_provider(arn)
    return stored


async def _change(iam: Iam, call: Call, change: Callable[[StoredProvider], StoredProvider]) -> None:
    arn = _checked(call)

    def unit() -> Unit[None]:
        changed = change((yield from _read(arn)))
        yield from rows.update_provider(arn, changed.client_ids, changed.thumbprints)

    await iam.epoch.change(unit)


# -- leave


def _create_accesses(_: Iam, call: Call) -> list[Access]:
    arn = _arn(call.account, call.params["Url"])
    keys = requested_tags(call.params.get("Tags", ()))
    create = Access("iam:CreateOpenIDConnectProvider", arn, keys)
    return [create, Access("iam:TagOpenIDConnectProvider", arn, keys)] if keys else [create]


ROWS: Final[tuple[Row, ...]] = (
    Row("CreateOpenIDConnectProvider", create_provider, _create_accesses),
    Row("GetOpenIDConnectProvider", get_provider, on_arn("GetOpenIDConnectProvider", "OpenIDConnectProviderArn")),
    Row("ListOpenIDConnectProviders", list_providers, on_everything("ListOpenIDConnectProviders")),
    Row(
        "DeleteOpenIDConnectProvider",
        delete_provider,
        on_arn("DeleteOpenIDConnectProvider", "OpenIDConnectProviderArn"),
    ),
    Row(
        "UpdateOpenIDConnectProviderThumbprint",
        update_thumbprints,
        on_arn("UpdateOpenIDConnectProviderThumbprint", "OpenIDConnectProviderArn"),
    ),
    Row(
        "AddClientIDToOpenIDConnectProvider",
        add_client_id,
        on_arn("AddClientIDToOpenIDConnectProvider", "OpenIDConnectProviderArn"),
    ),
    Row(
        "RemoveClientIDFromOpenIDConnectProvider",
        remove_client_id,
        on_arn("RemoveClientIDFromOpenIDConnectProvider", "OpenIDConnectProviderArn"),
    ),
    Row("TagOpenIDConnectProvider", tag_provider, on_arn("TagOpenIDConnectProvider", "OpenIDConnectProviderArn")),
    Row("UntagOpenIDConnectProvider", untag_provider, on_arn("UntagOpenIDConnectProvider", "OpenIDConnectProviderArn")),
    Row(
        "ListOpenIDConnectProviderTags",
        list_provider_tags,
        on_arn("ListOpenIDConnectProviderTags", "OpenIDConnectProviderArn"),
    ),
)
