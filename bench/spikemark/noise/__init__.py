"""What can go wrong, at five severities: on the samples, the spikes or the hardware. Knows nothing of training."""

from spikemark.noise.case import SEVERITIES, Case, EncodeStep, Noise
from spikemark.noise.catalogue import NOISES, find_noise

__all__ = ["NOISES", "SEVERITIES", "Case", "EncodeStep", "Noise", "find_noise"]
