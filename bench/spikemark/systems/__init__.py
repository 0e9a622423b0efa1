"""Published methods as data. Adding a method is adding a row; a system names no framework and no data set.

`SYSTEMS` is merged from the row mappings of `_ROWS`, each of which a family of methods keeps where it likes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from spikemark.systems.controls import CONTROL_ROWS
from spikemark.systems.first_spike import FIRST_SPIKE_ROWS
from spikemark.systems.norms import NORM_ROWS
from spikemark.systems.published import PUBLISHED_ROWS
from spikemark.systems.rate_based import RATE_ROWS
from spikemark.systems.sleep import SLEEP_ROWS
from spikemark.systems.system import Loss, Optimizer, System, Trains
from spikemark.systems.thresholds import THRESHOLD_ROWS
from spikemark.systems.time_based import TIME_ROWS

__all__ = ["SYSTEMS", "Loss", "Optimizer", "System", "Trains", "specified_neurons"]

# Row modules import `System` from `spikemark.systems.system` and neither torch nor a rule.
_ROWS: tuple[Mapping[str, System], ...] = (
    THRESHOLD_ROWS,
    CONTROL_ROWS,
    NORM_ROWS,
    PUBLISHED_ROWS,
    RATE_ROWS,
    TIME_ROWS,
    FIRST_SPIKE_ROWS,
    SLEEP_ROWS,
)


def _merged(mappings: tuple[Mapping[str, System], ...]) -> dict[str, System]:
    rows: dict[str, System] = {}
    for mapping in mappings:
        doubles = rows.keys() & mapping.keys()
        if doubles:
            raise ValueError(f"two systems are called {', '.join(sorted(doubles))}")
        rows |= mapping
    return rows


SYSTEMS: Mapping[str, System] = MappingProxyType(_merged(_ROWS))


def specified_neurons(systems: Iterable[str]) -> list[str]:
    """The rows of `NEURONS` that systems use, each once; neurons of a network's own are none."""
    return list(dict.fromkeys(SYSTEMS[name].neuron for name in systems if SYSTEMS[name].spec is not None))
