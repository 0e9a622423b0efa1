"""Learned thresholds and decays on the suite's own two networks: STL-SNN, LTMD, PLIF, DIET-SNN and their baselines."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from spikemark.neurons import NEURONS
from spikemark.systems.system import System

LTMD_SOURCE = "LTMD: Wang, Cheng and Lim, NeurIPS 2022"
CONSISTENCY: Mapping[str, Any] = {"consistency": 0.5}
"""LTMD's rule options wherever there is moderate dropout."""

# What stands before the graded layers; the first of those has 128 neurons (ours).
_LTMD_FEATURES = {"mlp": "FC256-BN-SN", "convnet": "8C3-BN-SN-AP2-16C3-BN-SN-AP2"}
_WIDE: Mapping[str, Mapping[str, Any]] = {"mlp": {"hidden": (768,)}, "convnet": {"channels": (24, 48)}}


def _rows() -> dict[str, System]:
    rows: dict[str, System] = {}
    for network in ("mlp", "convnet"):
        for neuron in ("lif", "plif", "stl", "lt", "diet", "lif16", "plif16"):
            rows[f"{network}-{neuron}"] = System(neuron, network, NEURONS[neuron].source)
        rows |= _stl(network) | _ltmd(network)
    for neuron in ("lif", "plif", "stl"):
        rows[f"convnet-{neuron}-avgpool"] = System(
            neuron, "convnet", f"{NEURONS[neuron].source}; average pooling", options={"pool": "average"}
        )
    return rows


def _stl(network: str) -> dict[str, System]:
    """Degenerate forms, and the joint decision, which the paper names and nothing we found defines: both are ours."""
    stl, rows = NEURONS["stl"].source, {}
    rows[f"{network}-stl-sl"] = System("stl", network, f"{stl}; synaptic learning", trains="weights")
    rows[f"{network}-stl-tl"] = System("stl", network, f"{stl}; threshold learning", trains="thresholds")
    rows[f"{network}-stl-tl-norm"] = System(
        "stl", network, f"{stl}; threshold learning, norm trained too", trains="thresholds+norm"
    )
    rows[f"{network}-stl-joint-readout"] = System(
        "stl",
        "joint-readout",
        f"{stl}; joint decision as a readout of all layers (ours)",
        options={"of": network},
    )
    rows[f"{network}-stl-joint-vote"] = System(
        "stl",
        "joint-vote",
        f"{stl}; joint decision as a vote of three members (ours)",
        options={"of": network, "members": 3},
        rule_options={"readings": "sum"},
    )
    rows[f"{network}-stl-wide"] = System(
        "stl", network, f"{stl}; as many weights as the three members of the vote (ours)", options=_WIDE[network]
    )
    return rows


def _ltmd(network: str) -> dict[str, System]:
    """LTMD's ablation: fixed or learned thresholds, moderate dropout, lateral interaction; graded outputs in all."""

    def system(head: str, what: str, learned: bool = True, dropout: bool = False) -> System:
        layers = f"{_LTMD_FEATURES[network]}-{head}128-{'MD0.2-' if dropout else ''}{head}K"
        return System(
            "lt",
            "layers",
            f"{LTMD_SOURCE}; {what}",
            loss="cross-entropy-rate",
            trains="all" if learned else "weights",
            options={"layers": layers},
            rule_options=CONSISTENCY if dropout else {},
        )

    return {
        f"{network}-ltmd": system("LF", "learned thresholds, moderate dropout, lateral interaction", dropout=True),
        f"{network}-ltmd-no-lateral": system("GF", "without lateral interaction", dropout=True),
        f"{network}-ltmd-lt": system("GF", "learned thresholds alone"),
        f"{network}-ltmd-lt-lateral": system("LF", "learned thresholds and lateral interaction"),
        f"{network}-ltmd-lif": system("GF", "fixed thresholds", learned=False),
        f"{network}-ltmd-lif-lateral": system("LF", "fixed thresholds and lateral interaction", learned=False),
    }


THRESHOLD_ROWS: Mapping[str, System] = MappingProxyType(_rows())
