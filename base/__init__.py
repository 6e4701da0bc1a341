"""The floor of the house: what every room may stand on and what knows no room."""
