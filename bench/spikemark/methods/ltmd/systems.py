"""LTMD and its ablation on the suite's own two networks and on the paper's.

Where the paper steps its learning rate by a table, here a cosine falls over all epochs.
"""

from __future__ import annotations

from spikemark.methods.ltmd.neurons import NEURONS
from spikemark.methods.ltmd.options import ConsistentBptt
from spikemark.training.bptt import Bptt, Trains
from spikemark.training.rule import Optimizer
from spikemark.training.system import System

LTMD_SOURCE = "LTMD: Wang, Cheng and Lim, NeurIPS 2022"
# What stands before the graded layers; the first of those has 128 neurons (ours).
_FEATURES = {"mlp": "FC256-BN-SN", "convnet": "8C3-BN-SN-AP2-16C3-BN-SN-AP2"}


def _rule(optimizer: Optimizer, trains: Trains = "all", *, dropout: bool = False) -> Bptt:
    """Wherever there is moderate dropout, its two readings are asked to agree."""
    kind = ConsistentBptt if dropout else Bptt
    return kind(loss="cross-entropy-rate", trains=trains, optimizer=optimizer)


def _ours(network: str) -> dict[str, System]:
    """Fixed or learned thresholds, moderate dropout, lateral interaction; graded outputs in all."""

    def system(head: str, what: str, learned: bool = True, dropout: bool = False) -> System:
        layers = f"{_FEATURES[network]}-{head}128-{'MD0.2-' if dropout else ''}{head}K"
        rule = _rule(Optimizer(), "all" if learned else "weights", dropout=dropout)
        return System("lt", "layers", rule, options={"layers": layers}, source=f"{LTMD_SOURCE}; {what}")

    return {
        f"{network}-lt": System("lt", network, source=NEURONS["lt"].source),
        f"{network}-ltmd": system("LF", "learned thresholds, moderate dropout, lateral interaction", dropout=True),
        f"{network}-ltmd-no-lateral": system("GF", "without lateral interaction", dropout=True),
        f"{network}-ltmd-lt": system("GF", "learned thresholds alone"),
        f"{network}-ltmd-lt-lateral": system("LF", "learned thresholds and lateral interaction"),
        f"{network}-ltmd-lif": system("GF", "fixed thresholds", learned=False),
        f"{network}-ltmd-lif-lateral": system("LF", "fixed thresholds and lateral interaction", learned=False),
    }


def _published(size: str) -> dict[str, System]:
    rows: dict[str, System] = {}
    for data, rate in (("mnist", 0.01), ("cifar10", 0.04)):
        network, shape = f"ltmd-{data}{size}", (1, 28, 28) if data == "mnist" else (3, 32, 32)
        plain = {"replace": {"MD0.2-": ""}} if data == "mnist" else {"dropout": 0.0}
        recipe = Optimizer(name="sgd", learning_rate=rate, weight_decay=1e-4)
        rows[network] = System("lt", network, _rule(recipe, dropout=True), source=LTMD_SOURCE, made_for=shape)
        rows[f"{network}-lt"] = System(
            "lt",
            network,
            _rule(recipe),
            options=plain,
            source=f"{LTMD_SOURCE}; learned thresholds alone",
            made_for=shape,
        )
        rows[f"{network}-lif"] = System(
            "lt",
            network,
            _rule(recipe, "weights"),
            options=plain,
            source=f"{LTMD_SOURCE}; fixed thresholds",
            made_for=shape,
        )
    return rows


SYSTEMS = _ours("mlp") | _ours("convnet") | _published("") | _published("-small")
