"""What an input that is the same at every step does to energy: its layer charged at every step, once, or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from spikemark.core.statistics import mean_interval, paired_difference
from spikemark.report.cells import Cells
from spikemark.report.model import TIMES, Entry, Table, estimate, number
from spikemark.suites.records import Record

_NOTE = """\
Energy in nJ under {profile} and, paired by seed, its ratio [95 % interval] to that of "beside": the same neurons with
their thresholds and decays as they began. The input is the same at every step, so that the first layer may be charged
at every step or once; behind it is what the spikes of the network decide. n: seeds that both have."""
_CHARGES = ("every step", "first layer once", "behind the first layer")


def first_layer_table(where: str, group: Cells) -> Table | None:
    """A row for every system that has a twin which trains weights alone; None without any, or without such an input."""
    rows = list(_rows(group))
    if not rows:
        return None
    columns = ["framework", "system", "beside"]
    for charge in _CHARGES:
        columns += [f"{charge} (nJ)", f"{charge}, ratio"]
    title = f"The first layer charged at every step, once and not at all: {where}"
    return Table(title, (*columns, "n"), tuple(rows), 3, _NOTE.format(profile=group.profile))


def _rows(group: Cells) -> Iterator[tuple[Entry, ...]]:
    energies = group.where(measure="energy")
    fixed = {_who(r): r["cell"]["system"] for r in energies.ok if _trains(r) == "weights"}
    for framework, system, neuron in energies.names("framework", "system", "neuron"):
        beside = fixed.get((framework, neuron), system)
        if beside == system:
            continue
        own, other = (_charged(energies.where(framework=framework, system=s), group.profile) for s in (system, beside))
        shared = sorted(set(own) & set(other))
        if not shared:
            continue
        entries = [Entry(framework), Entry(system), Entry(beside)]
        for place in range(len(_CHARGES)):
            spent, base = ({seed: runs[seed][place] for seed in shared} for runs in (own, other))
            interval = mean_interval(spent, bounds=(0, math.inf))
            entries.append(Entry(estimate(interval, 1e-3, 0), interval.value))
            entries.append(_ratio(spent, base))
        yield (*entries, Entry(str(len(shared)), float(len(shared))))


def _ratio(spent: dict[int, float], base: dict[int, float]) -> Entry:
    logarithms = ({seed: math.log(value) for seed, value in runs.items()} for runs in (spent, base))
    found = paired_difference(*logarithms)
    value, low, high = map(math.exp, (found.value, found.low, found.high))
    text = f"{number(value, 3)} {TIMES}"
    return Entry(text if math.isnan(low) else f"{text} [{number(low, 3)}, {number(high, 3)}]", value)


def _who(record: Record) -> tuple[str, str]:
    return record["cell"]["framework"], record["cell"]["neuron"]


def _trains(record: Record) -> str | None:
    trains: str | None = record["cell"].get("system_definition", {}).get("rule", {}).get("trains")
    return trains


def _charged(cells: Cells, profile: str) -> dict[int, tuple[float, float, float]]:
    """By seed what `_CHARGES` name, in pJ; without records whose input changes, or whose layers have prices apart."""
    found = {}
    for record in cells.ok:
        cell: Mapping[str, Any] = record["cell"]
        prices, encoding = cell.get("profiles", {}).get(profile, {}), cell["settings"]["encoding"]
        rows = record["measurements"]
        layers = [row for row in rows if row["metric"] in ("macs", "acs") and "layer" in row]
        if encoding["name"] != "direct" or not layers or prices.get("mac") is None or "narrow" in prices:
            continue
        first = sum(
            row["value"] * (prices[row["metric"].removesuffix("s")] + prices["weight_read"])
            for row in layers
            if row["layer"] == layers[0]["layer"]
        )
        (total,) = (row["value"] for row in rows if row["metric"] == "energy" and row.get("profile") == profile)
        found[cell["seed"]] = total, total - first * (1 - 1 / encoding["steps"]), total - first
    return found
