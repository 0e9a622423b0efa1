"""STL-SNN on the suite's own two networks and on the paper's: full, and learning weights or thresholds alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikemark.methods.stl.neurons import NEURONS
from spikemark.training.bptt import Bptt, Trains
from spikemark.training.rule import Optimizer
from spikemark.training.system import System

_SOURCE = NEURONS["stl"].source
_WIDE: Mapping[str, Mapping[str, Any]] = {"mlp": {"hidden": (768,)}, "convnet": {"channels": (24, 48)}}
_ABLATIONS: Mapping[str, tuple[Trains, str]] = {
    "": ("all", ""),
    "-sl": ("weights", "; synaptic learning"),
    "-tl": ("thresholds", "; threshold learning"),
    "-tl-norm": ("thresholds+norm", "; threshold learning, norm trained too"),
}


def _ours(network: str) -> dict[str, System]:
    """Degenerate forms, and the joint decision, which the paper names and nothing we found defines: both are ours."""
    rows = {
        f"{network}-stl{name}": System("stl", network, Bptt(trains=trains), source=_SOURCE + what)
        for name, (trains, what) in _ABLATIONS.items()
    }
    rows[f"{network}-stl-joint-readout"] = System(
        "stl",
        "joint-readout",
        options={"of": network},
        source=f"{_SOURCE}; joint decision as a readout of all layers (ours)",
    )
    rows[f"{network}-stl-joint-vote"] = System(
        "stl",
        "joint-vote",
        Bptt(readings="sum"),
        options={"of": network, "members": 3},
        source=f"{_SOURCE}; joint decision as a vote of three members (ours)",
    )
    rows[f"{network}-stl-wide"] = System(
        "stl",
        network,
        options=_WIDE[network],
        source=f"{_SOURCE}; as many weights as the three members of the vote (ours)",
    )
    return rows


def _published(size: str) -> dict[str, System]:
    recipe = Optimizer(weight_decay=1e-6, schedule="exponential")
    return {
        f"stl-mnist{size}{name}": System(
            "stl",
            f"stl-mnist{size}",
            Bptt(trains=trains, optimizer=recipe),
            "step-bn",
            source=_SOURCE + what,
            made_for=(1, 28, 28),
        )
        for name, (trains, what) in _ABLATIONS.items()
    }


SYSTEMS = (
    _ours("mlp")
    | _ours("convnet")
    | {
        "convnet-stl-avgpool": System(
            "stl", "convnet", options={"pool": "average"}, source=f"{_SOURCE}; average pooling"
        )
    }
    | _published("")
    | _published("-small")
)
