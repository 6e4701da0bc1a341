"""Access keys (CreateAccessKey, ListAccessKeys, UpdateAccessKey, DeleteAccessKey, GetAccessKeyLastUsed)."""

from typing import Any, Final

from auth.access import Access
from auth.directory import identity_arn
from auth.iam.call import Call, Iam, Result, Row, invalid_input, limit_exceeded, page_of, paged
from auth.iam.identities import USER, arn_of, caller_or_named, missing, on_user_or_caller, shown_time
from auth.identifiers import new_access_key_id, new_secret_access_key
from auth.rows import access_keys as rows
from auth.rows.access_keys import AccessKey
from auth.rows.accounts import find_account
from auth.rows.users import User, find_user, read_user
from aws.errors import AwsError
from store.database import Unit

KEYS_AT_MOST: Final = 2
_ACTIVE: Final = "Active"
_NEVER: Final = "N/A"
"""Where, and by which service, a key was used that never was."""


async def create_access_key(iam: Iam, call: Call) -> Result:
    """The only time that the secret is told."""
    user = await caller_or_named(iam, call)
    owner = _owner(user, call)
    secret = new_secret_access_key()
    sealed = iam.vault.encrypt(secret.encode())
    now = iam.clock()

    def unit() -> Unit[AccessKey]:
        if user is not None and (yield from read_user(user.id)) is None:
            raise missing(USER, user.name)
        if (yield from rows.count_access_keys(owner)) >= KEYS_AT_MOST:
            raise limit_exceeded(f"Cannot exceed quota for AccessKeysPerUser: {KEYS_AT_MOST}")
        while True:
            key = AccessKey(new_access_key_id(call.account), call.account, owner, _ACTIVE, now, None, "", "")
            if (yield from rows.insert_access_key(key, sealed)):
                return key

    key = await iam.epoch.change(unit)
    return {"AccessKey": {**_render(key, user), "SecretAccessKey": secret}}


async def list_access_keys(iam: Iam, call: Call) -> Result:
    user = await caller_or_named(iam, call)
    owner = _owner(user, call)
    limit, after = page_of(call.params)
    keys = await rows.list_access_keys(iam.database, owner, after=after, limit=limit + 1)
    for identifier in [one for one, account in iam.settled.items() if account == owner and one > after]:
        keys.append(await _settled(iam, identifier, owner))
    keys.sort(key=lambda key: key.id)
    return paged("AccessKeyMetadata", keys, limit, key=lambda key: key.id, render=lambda key: _render(key, user))


async def update_access_key(iam: Iam, call: Call) -> Result:
    identifier, status = call.params["AccessKeyId"], call.params["Status"]
    if status == "Expired":
        raise invalid_input("A key expires by itself: Status is Active or Inactive.")
    owner = _owner(await caller_or_named(iam, call), call)
    _refuse_settled(iam, owner, identifier)

    def unit() -> Unit[None]:
        if not (yield from rows.set_access_key_status(owner, identifier, status)):
            raise _unknown(identifier)

    await iam.epoch.change(unit)
    return {}


async def delete_access_key(iam: Iam, call: Call) -> Result:
    identifier = call.params["AccessKeyId"]
    owner = _owner(await caller_or_named(iam, call), call)
    _refuse_settled(iam, owner, identifier)

    def unit() -> Unit[None]:
        if not (yield from rows.delete_access_key(owner, identifier)):
            raise _unknown(identifier)

    await iam.epoch.change(unit)
    return {}


async def get_access_key_last_used(iam: Iam, call: Call) -> Result:
    """Written down every few seconds (`auth.usage`)."""
    key, user = await _find(iam, call)
    if key is None:
        raise _unknown(call.params["AccessKeyId"])
    used = {
        "LastUsedDate": None if key.used_at is None else shown_time(key.used_at),
        "ServiceName": key.used_service or _NEVER,
        "Region": key.used_region or _NEVER,
    }
    return {"UserName": None if user is None else user.name, "AccessKeyLastUsed": used}


async def _on_owner(iam: Iam, call: Call) -> list[Access]:
    """The user whose key it is; keys that are not there, or another account's, are nobody's."""
    key, user = await _find(iam, call)
    if user is not None:
        resource = arn_of(USER, user)
    elif key is not None:
        resource = f"arn:aws:iam::{call.account}:root"
    else:
        resource = identity_arn(USER, call.account, "/", "*")
    return [Access("iam:GetAccessKeyLastUsed", resource)]


async def _find(iam: Iam, call: Call) -> tuple[AccessKey | None, User | None]:
    """The key of AccessKeyId, if it is of the caller's account, and its user."""
    identifier = call.params["AccessKeyId"]
    if iam.settled.get(identifier) == call.account:
        return await _settled(iam, identifier, call.account), None
    key = await rows.find_access_key(iam.database, identifier)
    if key is None or key.account != call.account:
        return None, None
    return key, await find_user(iam.database, key.owner_id)


def _owner(user: User | None, call: Call) -> str:
    return call.account if user is None else user.id


async def _settled(iam: Iam, identifier: str, account: str) -> AccessKey:
    """A root key of the server's settings, as old as its account. Nobody writes down when it is used."""
    found = await find_account(iam.database, account)
    made = iam.clock() if found is None else found.created_at
    return AccessKey(identifier, account, account, _ACTIVE, made, None, "", "")


def _refuse_settled(iam: Iam, owner: str, identifier: str) -> None:
    """Raises AwsError for a key that is not in the store."""
    if iam.settled.get(identifier) == owner:
        raise AwsError(
            "UnmodifiableEntityException",
            f"The Access Key with id {identifier} is the server's own root key: it changes with the settings.",
        )


def _unknown(identifier: str) -> AwsError:
    return AwsError("NoSuchEntityException", f"The Access Key with id {identifier} cannot be found", status=404)


def _render(key: AccessKey, user: User | None) -> dict[str, Any]:
    """A root user has no name."""
    return {
        "UserName": None if user is None else user.name,
        "AccessKeyId": key.id,
        "Status": key.status,
        "CreateDate": shown_time(key.created_at),
    }


ROWS: Final = (
    Row("CreateAccessKey", create_access_key, on_user_or_caller("CreateAccessKey")),
    Row("ListAccessKeys", list_access_keys, on_user_or_caller("ListAccessKeys")),
    Row("UpdateAccessKey", update_access_key, on_user_or_caller("UpdateAccessKey")),
    Row("DeleteAccessKey", delete_access_key, on_user_or_caller("DeleteAccessKey")),
    Row("GetAccessKeyLastUsed", get_access_key_last_used, _on_owner),
)
