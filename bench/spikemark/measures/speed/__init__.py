"""Time, memory and joules of layers and networks, interleaved and in fresh processes."""
