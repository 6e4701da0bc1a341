"""The AWS wire."""
