"""Every noise, at levels that do something to the small samples of these tests."""

from dataclasses import replace

from spikemark.noise.case import NOISES

# A few of the 1,600 values of eight frames; a thousandth would hardly be one.
LEVELS = {"sda-l0": (0.03, 0.04, 0.05, 0.065, 0.08)}
ROWS = [replace(noise, levels=LEVELS.get(noise.name, noise.levels)) for noise in NOISES.values()]
