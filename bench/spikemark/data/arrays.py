"""Data sets of a user's own: from arrays, from a torch `Dataset`, from tonic."""
