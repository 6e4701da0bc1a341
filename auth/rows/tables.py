"""This room's tables, as whoever copies a registry sees them."""

from collections.abc import Mapping

CARRIED = (
    "signing_keys",
    "accounts",
    "users",
    "user_groups",
    "group_members",
    "roles",
    "instance_profiles",
    "access_keys",
    "managed_policies",
    "policy_versions",
    "policy_attachments",
    "inline_policies",
    "identity_tags",
    "oidc_providers",
    "last_accessed",
    "access_reports",
    "organizations",
    "organization_members",
    "organizational_units",
    "control_policies",
    "control_attachments",
    "organization_tags",
    "account_requests",
    "handshakes",
    "audit_segments",
    "audit_policies",
)
"""What belongs to a registry wherever its rows are moved."""
LEFT_OUT: Mapping[str, str] = {
    "epochs": "what the processes of one database have to read again",
}
"""The others, and what they are instead."""
