"""Bytes and rows. Knows no image, no policy, no task."""
