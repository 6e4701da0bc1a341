"""The tables of the whole house, as whoever copies a registry sees them. Each is named once; a test says so."""

from collections.abc import Mapping

from auth.rows import tables as identities
from store import schema

BLOBS = "blobs"
"""Carried with its bytes, whose keys are another store's afterwards."""
CARRIED = (
    "repositories",
    "resource_tags",
    "creation_templates",
    "repository_policies",
    "registry_policies",
    "account_settings",
    "repository_blobs",
    "manifests",
    "manifest_references",
    "tags",
    "deleted_repositories",
    "deleted_subjects",
    *identities.CARRIED,
    *schema.CARRIED,
)
"""What belongs to a registry wherever it is moved."""
LEFT_OUT: Mapping[str, str] = {
    "uploads": "uploads under way, whose bytes are not kept: clients begin them again",
    "condemned": "bytes that are about to be deleted",
    "reclaimed": "what was deleted from one store",
    "collections": "what the collector did in one store, and where it stands",
    **identities.LEFT_OUT,
    **schema.LEFT_OUT,
}
"""The others, and what they are instead."""
