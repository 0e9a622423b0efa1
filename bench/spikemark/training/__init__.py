"""Gradient rules and the training loop."""
