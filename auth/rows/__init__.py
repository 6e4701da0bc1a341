"""The SQL of identities, policies and decisions: a module a subject, a function a query."""

from auth.rows.signing_keys import StoredKey, list_signing_keys, rotate_signing_key

__all__ = ["StoredKey", "list_signing_keys", "rotate_signing_key"]
