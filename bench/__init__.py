"""Measured comparisons of Longshore with other registries, on the machine at hand: `python -m bench --help`."""
