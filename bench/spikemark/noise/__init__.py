"""What can go wrong, at five severities: on the samples, the spikes or the hardware. Knows nothing of training."""

from spikemark.noise.catalogue import ROWS
from spikemark.registry import register_all

register_all("noise", {noise.name: noise for noise in ROWS})
