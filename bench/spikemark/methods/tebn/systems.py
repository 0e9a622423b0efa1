"""Normalisations over time: TEBN against joint and per-step batch norm, at several decays (T is the suite's)."""

from __future__ import annotations

from spikemark.training.bptt import Bptt
from spikemark.training.rule import Optimizer
from spikemark.training.system import System

_TEBN = "TEBN: Duan et al., NeurIPS 2022"
_SOURCES = {
    "joint-bn": f"Baseline of {_TEBN}; joint statistics",
    "step-bn": f"Baseline of {_TEBN}; statistics of each step",
    "tebn": _TEBN,
}
_FURTHER = {
    "tdbn": "tdBN: Zheng et al., AAAI 2021 (arXiv 2011.05280); at a threshold of 1 the same as joint-bn",
    "bntt": "BNTT: Kim and Panda 2021 (arXiv 2010.01729)",
}


def _ours() -> dict[str, System]:
    rows: dict[str, System] = {}
    for network in ("mlp", "convnet"):
        for norm, source in (_SOURCES | _FURTHER).items():
            rows[f"{network}-{norm}"] = System("lif-tebn", network, normalization=norm, source=source)
        for norm, source in _SOURCES.items():
            for decay in (0.5, 0.9):
                rows[f"{network}-{norm}-decay-{decay}"] = System(
                    "lif-tebn", network, normalization=norm, decay=decay, source=f"{source}; decay {decay}"
                )
        for norm in ("joint-bn", "tdbn"):
            rows[f"{network}-{norm}-threshold-0.5"] = System(
                "lif-tebn",
                network,
                normalization=norm,
                threshold=0.5,
                source=f"{(_SOURCES | _FURTHER)[norm].split(';')[0]}; threshold 0.5",
            )
    return rows


def _published(size: str) -> dict[str, System]:
    rule = Bptt(loss="cross-entropy-rate", optimizer=Optimizer(name="sgd", learning_rate=0.02, weight_decay=5e-4))
    return {
        f"tebn-vgg9{size}" if norm == "tebn" else f"tebn-vgg9{size}-{norm}": System(
            "lif-tebn",
            f"tebn-vgg9{size}",
            rule,
            norm,
            source=_TEBN if norm == "tebn" else f"Baseline of {_TEBN}; {norm}",
            made_for=(3, 32, 32),
        )
        for norm in ("tebn", "joint-bn", "step-bn")
    }


SYSTEMS = _ours() | _published("") | _published("-small")
