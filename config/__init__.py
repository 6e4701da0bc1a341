"""Settings: read once, checked once, handed on as values."""
