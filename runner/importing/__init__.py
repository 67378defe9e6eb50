"""Networks from other programs: weights by name."""
