"""The layer that sees a constant input, charged at every step, once and not at all."""

from __future__ import annotations

import pytest
from synthetic_records import make_record

from spikemark.report.cells import Cells
from spikemark.report.first_layer import first_layer_table

PRICES = {"mac": 4.0, "ac": 1.0, "weight_read": 0.5, "neuron_update": 0.0, "state_access": 0.0}
STEPS = 4


def counted(system, seed, hidden, trains, encoding="direct"):
    """2000 multiply-accumulates in the first layer (9000 pJ) and `hidden` additions behind it."""
    rows = [
        {"metric": metric, "value": value, "unit": "1/sample", "layer": layer, "input_kind": kind}
        for layer, metric, value, kind in (
            ("conv1", "macs", 2000.0, "analog"),
            ("conv1", "acs", 0.0, "analog"),
            ("conv2", "macs", 0.0, "binary"),
            ("conv2", "acs", hidden, "binary"),
        )
    ]
    total = 2000 * 4.5 + hidden * 1.5
    rows.append({"metric": "energy", "value": total, "unit": "pJ/sample", "profile": "45nm-fp32"})
    made = make_record("energy", "norse", "stl", seed, measurements=rows)
    made["cell"] |= {"system": system, "profiles": {"45nm-fp32": PRICES}}
    made["cell"]["system_definition"] = made["cell"].get("system_definition", {}) | {"rule": {"trains": trains}}
    made["cell"]["settings"] = made["cell"]["settings"] | {"encoding": {"name": encoding, "steps": STEPS}}
    return made


def both(**how):
    return Cells.of(
        [counted("learned", seed, 1000.0 + 10 * seed, "weights+thresholds", **how) for seed in range(3)]
        + [counted("fixed", seed, 2 * (1000.0 + 10 * seed), "weights", **how) for seed in range(3)]
    )


def test_each_charge_has_its_ratio_to_the_system_of_fixed_neurons():
    table = first_layer_table("made-up", both())
    (row,) = table.rows
    assert [entry.text for entry in row[:3]] == ["norse", "learned", "fixed"]
    hidden = 1010 * 1.5
    assert [row[place].sort for place in (3, 5, 7)] == pytest.approx([9000 + hidden, 9000 / STEPS + hidden, hidden])
    every, once, behind = (row[place].sort for place in (4, 6, 8))
    assert behind == pytest.approx(0.5)
    assert every == pytest.approx((9000 + hidden) / (9000 + 2 * hidden), rel=1e-4)
    assert once == pytest.approx((2250 + hidden) / (2250 + 2 * hidden), rel=1e-4)
    assert row[9].text == "3"


def test_no_table_where_the_input_changes_or_nobody_keeps_neurons_fixed():
    assert first_layer_table("made-up", both(encoding="poisson")) is None
    alone = Cells.of([counted("learned", seed, 1000.0, "weights+thresholds") for seed in range(3)])
    assert first_layer_table("made-up", alone) is None
