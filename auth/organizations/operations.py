"""The operations of Organizations, as a table: name, who may call it, and the leave it needs.

IAM actions and resources are those of the Service Authorization Reference, "Actions, resources, and condition keys for
AWS Organizations"; who may call is in the API reference of each.
"""

from functools import partial
from typing import Final

from auth.access import Access, Principal
from auth.organizations import accounts, handshakes, organization, policies, tags, units
from auth.organizations.call import Organizations, Row, for_management, for_members, on
from auth.organizations.errors import report
from auth.organizations.handshakes import on_handshake, on_invited
from aws.dispatch import Operation, Service

OPERATIONS: Final = (
    Row("CreateOrganization", organization.create_organization, on()),
    Row(
        "DescribeOrganization",
        for_members(organization.describe_organization),
        on(),
    ),
    Row("DeleteOrganization", for_management(organization.delete_organization), on()),
    Row("ListRoots", for_management(organization.list_roots), on()),
    Row(
        "ListAWSServiceAccessForOrganization",
        for_management(organization.list_aws_service_access_for_organization),
        on(),
    ),
    Row(
        "ListDelegatedAdministrators",
        for_management(organization.list_delegated_administrators),
        on(),
    ),
    Row("CreateAccount", for_management(accounts.create_account), on()),
    Row(
        "DescribeCreateAccountStatus",
        for_management(accounts.describe_create_account_status),
        on(),
    ),
    Row(
        "ListCreateAccountStatus",
        for_management(accounts.list_create_account_status),
        on(),
    ),
    Row("ListAccounts", for_management(accounts.list_accounts), on()),
    Row(
        "ListAccountsForParent",
        for_management(accounts.list_accounts_for_parent),
        on("ParentId"),
    ),
    Row("DescribeAccount", for_management(accounts.describe_account), on("AccountId")),
    Row(
        "MoveAccount",
        for_management(accounts.move_account),
        on("AccountId", "SourceParentId", "DestinationParentId"),
    ),
    Row("CloseAccount", for_management(accounts.close_account), on("AccountId")),
    Row(
        "RemoveAccountFromOrganization",
        for_management(accounts.remove_account_from_organization),
        on("AccountId"),
    ),
    Row("LeaveOrganization", for_members(accounts.leave_organization), on()),
    Row(
        "CreateOrganizationalUnit",
        for_management(units.create_organizational_unit),
        on("ParentId"),
    ),
    Row(
        "DescribeOrganizationalUnit",
        for_management(units.describe_organizational_unit),
        on("OrganizationalUnitId"),
    ),
    Row(
        "UpdateOrganizationalUnit",
        for_management(units.update_organizational_unit),
        on("OrganizationalUnitId"),
    ),
    Row(
        "DeleteOrganizationalUnit",
        for_management(units.delete_organizational_unit),
        on("OrganizationalUnitId"),
    ),
    Row(
        "ListOrganizationalUnitsForParent",
        for_management(units.list_organizational_units_for_parent),
        on("ParentId"),
    ),
    Row("ListParents", for_management(units.list_parents), on("ChildId")),
    Row("ListChildren", for_management(units.list_children), on("ParentId")),
    Row("CreatePolicy", for_management(policies.create_policy), on()),
    Row("UpdatePolicy", for_management(policies.update_policy), on("PolicyId")),
    Row("DescribePolicy", for_management(policies.describe_policy), on("PolicyId")),
    Row("DeletePolicy", for_management(policies.delete_policy), on("PolicyId")),
    Row("ListPolicies", for_management(policies.list_policies), on()),
    Row("AttachPolicy", for_management(policies.attach_policy), on("PolicyId", "TargetId")),
    Row("DetachPolicy", for_management(policies.detach_policy), on("PolicyId", "TargetId")),
    Row(
        "ListPoliciesForTarget",
        for_management(policies.list_policies_for_target),
        on("TargetId"),
    ),
    Row(
        "ListTargetsForPolicy",
        for_management(policies.list_targets_for_policy),
        on("PolicyId"),
    ),
    Row("EnablePolicyType", for_management(policies.enable_policy_type), on("RootId")),
    Row("DisablePolicyType", for_management(policies.disable_policy_type), on("RootId")),
    Row(
        "DescribeEffectivePolicy",
        for_members(policies.describe_effective_policy),
        on("TargetId"),
    ),
    Row("TagResource", for_management(tags.tag_resource), on("ResourceId")),
    Row("UntagResource", for_management(tags.untag_resource), on("ResourceId")),
    Row("ListTagsForResource", for_management(tags.list_tags_for_resource), on("ResourceId")),
    Row("EnableAllFeatures", for_management(handshakes.enable_all_features), on()),
    Row(
        "InviteAccountToOrganization",
        for_management(handshakes.invite_account_to_organization),
        on_invited,
    ),
    Row("AcceptHandshake", handshakes.accept_handshake, on_handshake),
    Row("DeclineHandshake", handshakes.decline_handshake, on_handshake),
    Row("CancelHandshake", handshakes.cancel_handshake, on_handshake),
    Row("DescribeHandshake", handshakes.describe_handshake, on_handshake),
    Row(
        "ListHandshakesForAccount",
        handshakes.list_handshakes_for_account,
        on(),
    ),
    Row(
        "ListHandshakesForOrganization",
        for_management(handshakes.list_handshakes_for_organization),
        on(),
    ),
)


def make_service(organizations: Organizations) -> Service[Principal, Access]:
    """The service `organizations` of the dispatcher."""
    return Service(
        name="organizations",
        operations=tuple(
            Operation(row.name, partial(row.handler, organizations), partial(row.accesses, organizations))
            for row in OPERATIONS
        ),
        report=report,
        fault_code="ServiceException",
    )
