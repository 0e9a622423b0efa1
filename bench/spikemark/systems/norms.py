"""Normalisations over time: TEBN against joint and per-step batch norm, at several decays (T is the suite's)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from spikemark.systems.system import System

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


def _rows() -> dict[str, System]:
    rows: dict[str, System] = {}
    for network in ("mlp", "convnet"):
        for norm, source in (_SOURCES | _FURTHER).items():
            rows[f"{network}-{norm}"] = System("lif-tebn", network, source, normalization=norm)
        for norm, source in _SOURCES.items():
            for decay in (0.5, 0.9):
                rows[f"{network}-{norm}-decay-{decay}"] = System(
                    "lif-tebn", network, f"{source}; decay {decay}", normalization=norm, decay=decay
                )
        for norm in ("joint-bn", "tdbn"):
            rows[f"{network}-{norm}-threshold-0.5"] = System(
                "lif-tebn",
                network,
                f"{(_SOURCES | _FURTHER)[norm].split(';')[0]}; threshold 0.5",
                normalization=norm,
                threshold=0.5,
            )
    return rows


NORM_ROWS: Mapping[str, System] = MappingProxyType(_rows())
