"""`longshore policy`: writing and testing policies. A module a subcommand."""
