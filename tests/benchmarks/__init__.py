"""Benchmarks: what they print is measured, and nothing else is asserted of it."""
