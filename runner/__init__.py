"""Config-driven NumPy network runner."""
