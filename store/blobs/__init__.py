"""Bytes under opaque keys."""
