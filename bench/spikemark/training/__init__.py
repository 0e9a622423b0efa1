"""Rules of learning, and the training loop that every rule and framework shares."""

from spikemark.registry import register

register("rule", "bptt", "spikemark.training.bptt:Bptt")
