"""What can go wrong, at five severities: on the samples, the spikes or the hardware. Knows nothing of training."""

from spikemark.noise import adversary, events, hardware, input, spikes  # noqa: A004, F401 (they register their rows)
