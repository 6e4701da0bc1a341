"""Data files that say what is right, and the runners that hold the code to them."""
