"""Who are you, may you, why."""
