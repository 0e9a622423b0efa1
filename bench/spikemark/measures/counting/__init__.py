"""Exact counts of the operations that a network really does."""
