"""`NOISES`: every noise as one row. To add one, write its function in the module of its domain and a row here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from spikemark.errors import unknown
from spikemark.noise import images, spikes
from spikemark.noise.case import Noise, on_inputs
from spikemark.noise.spikes import on_spikes

_HENDRYCKS = "Hendrycks and Dietterich, ICLR 2019 (arXiv 1903.12261)"

_ROWS = (
    Noise(
        "gaussian", "input", (0.1, 0.2, 0.3, 0.4, 0.5), "standard deviation of full scale",
        "Normal noise added to every value.", _HENDRYCKS, on_inputs(images.gaussian),
    ),
    Noise(
        "salt-and-pepper", "input", (0.03, 0.06, 0.09, 0.17, 0.27), "fraction of values",
        "Values replaced by 0 or 1.", f"{_HENDRYCKS}: impulse noise", on_inputs(images.salt_and_pepper),
    ),
    Noise(
        "spike-deletion", "spikes", (0.05, 0.1, 0.2, 0.3, 0.5), "probability a spike",
        "Spikes lost between layers.", "Park, Lee and Yoon, DAC 2021 (arXiv 2104.11169)", on_spikes(spikes.deletion),
    ),
)  # fmt: skip

NOISES: Mapping[str, Noise] = MappingProxyType({noise.name: noise for noise in _ROWS})


def find_noise(name: str) -> Noise:
    """The noise called `name`.

    Raises:
        UnknownNameError: no such noise; the message lists the known ones.
    """
    if name not in NOISES:
        raise unknown("noise", name, NOISES)
    return NOISES[name]
