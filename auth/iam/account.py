"""The account: its alias and what it holds (CreateAccountAlias, ListAccountAliases, DeleteAccountAlias, GetAccountSummary)."""

import re
from typing import Final

from auth.iam.access_keys import KEYS_AT_MOST
from auth.iam.call import Call, Iam, Result, Row, no_such, on_everything, validation
from auth.iam.entities import GROUP, ROLE, USER
from auth.iam.groups import GROUPS_AT_MOST, GROUPS_OF_A_USER
from auth.iam.policies import MAX_SIZE, MAX_VERSIONS, POLICIES_AT_MOST
from auth.iam.profiles import PROFILES_AT_MOST
from auth.iam.roles import ROLES_AT_MOST, TRUST_AT_MOST
from auth.iam.users import USERS_AT_MOST
from auth.rows import accounts as rows
from auth.rows.details import count_everything
from aws.errors import AwsError
from store.database import Unit

_ALL_DIGITS: Final = re.compile(r"[0-9]{12}", re.ASCII)


async def create_account_alias(iam: Iam, call: Call) -> Result:
    """An account has one: a new one takes the place of the old."""
    alias = call.params["AccountAlias"]
    if _ALL_DIGITS.fullmatch(alias):
        raise validation("The account alias must not be a 12 digit number.")

    def unit() -> Unit[None]:
        if (yield from rows.find_alias(alias)) not in {None, call.account}:
            raise AwsError("EntityAlreadyExistsException", f"The account alias {alias} already exists.", status=409)
        yield from rows.set_alias(call.account, alias)

    await iam.database.write(unit)
    return {}


async def list_account_aliases(iam: Iam, call: Call) -> Result:
    account = await rows.find_account(iam.database, call.account)
    return {"AccountAliases": [account.alias] if account is not None and account.alias else [], "IsTruncated": False}


async def delete_account_alias(iam: Iam, call: Call) -> Result:
    alias = call.params["AccountAlias"]

    def unit() -> Unit[None]:
        if (yield from rows.find_alias(alias)) != call.account:
            raise no_such("account alias", alias)
        yield from rows.set_alias(call.account, "")

    await iam.database.write(unit)
    return {}


async def get_account_summary(iam: Iam, call: Call) -> Result:
    """What there is none of here (passwords, MFA devices, certificates) is counted as none."""
    counts = await count_everything(iam.database, call.account)
    return {
        "SummaryMap": {
            "Users": counts.users,
            "UsersQuota": USERS_AT_MOST,
            "Groups": counts.groups,
            "GroupsQuota": GROUPS_AT_MOST,
            "GroupsPerUserQuota": GROUPS_OF_A_USER,
            "Roles": counts.roles,
            "RolesQuota": ROLES_AT_MOST,
            "AssumeRolePolicySizeQuota": TRUST_AT_MOST,
            "InstanceProfiles": counts.profiles,
            "InstanceProfilesQuota": PROFILES_AT_MOST,
            "Policies": counts.policies,
            "PoliciesQuota": POLICIES_AT_MOST,
            "PolicySizeQuota": MAX_SIZE,
            "PolicyVersionsInUse": counts.versions,
            "PolicyVersionsInUseQuota": 10_000,
            "VersionsPerPolicyQuota": MAX_VERSIONS,
            "AttachedPoliciesPerUserQuota": USER.attachments,
            "AttachedPoliciesPerGroupQuota": GROUP.attachments,
            "AttachedPoliciesPerRoleQuota": ROLE.attachments,
            "UserPolicySizeQuota": USER.inline,
            "GroupPolicySizeQuota": GROUP.inline,
            "RolePolicySizeQuota": ROLE.inline,
            "Providers": counts.providers,
            "AccessKeysPerUserQuota": KEYS_AT_MOST,
            "AccountAccessKeysPresent": int(counts.root_keys > 0 or call.account in iam.settled.values()),
            "AccountPasswordPresent": 0,
            "AccountMFAEnabled": 0,
            "AccountSigningCertificatesPresent": 0,
            "MFADevices": 0,
            "MFADevicesInUse": 0,
            "ServerCertificates": 0,
            "ServerCertificatesQuota": 20,
            "SigningCertificatesPerUserQuota": 2,
            "GlobalEndpointTokenVersion": 1,
        }
    }


ROWS: Final[tuple[Row, ...]] = (
    Row("CreateAccountAlias", create_account_alias, on_everything("CreateAccountAlias")),
    Row("ListAccountAliases", list_account_aliases, on_everything("ListAccountAliases")),
    Row("DeleteAccountAlias", delete_account_alias, on_everything("DeleteAccountAlias")),
    Row("GetAccountSummary", get_account_summary, on_everything("GetAccountSummary")),
)
