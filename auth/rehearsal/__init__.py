"""Decisions tried before they count: who asks, for what, by which policies, all as described. Pure."""
