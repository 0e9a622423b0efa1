"""Models of a user's own: modules that were written elsewhere, as contenders beside ours."""
