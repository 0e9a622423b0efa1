"""Time and memory of layers and networks, interleaved and in fresh processes."""
