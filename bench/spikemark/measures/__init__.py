"""Measures: a file each, with its settings, its subject, its numbers, and how they are judged and shown."""

from spikemark.measures.energy import OUR_PROFILES
from spikemark.registry import register, register_all

for _name in ("accuracy", "robustness", "energy", "joules", "throughput", "growth", "layers", "conformance"):
    register("measure", _name, f"spikemark.measures.{_name}:{_name.capitalize()}")
register("measure", "threshold-modulation", "spikemark.measures.threshold_modulation:ThresholdModulation")
register_all("profile", OUR_PROFILES)
