"""Spiking beside dense networks in the energy section: the front, the rates by hand, and orders that flip."""

import pytest
from synthetic_records import trained_records

from spikemark.measures.energy import flips
from spikemark.report.cells import Cells
from spikemark.report.energy import FLIP, energy_section
from spikemark.report.model import TIMES

PROFILES = ("arithmetic", "memory")


def records(prices, seeds=(0, 1)):
    """By neuron: energy, silent part and driven part under each profile; without a driven part it never spikes."""
    found = []
    for neuron, of_profile in prices.items():
        for seed in seeds:
            accuracy, _, energy = trained_records("reference", neuron, seed)
            rows = [row for row in energy["measurements"] if row["metric"] not in ("energy", "firing_rate")]
            for profile, (once, silent, driven) in of_profile.items():
                values = {"energy": 4 * once, "energy_once": once, "energy_silent": silent, "energy_driven": driven}
                rows += [
                    {"metric": metric, "value": value * (1 + seed), "unit": "pJ/sample", "profile": profile}
                    for metric, value in values.items()
                ]
            if any(driven for *_, driven in of_profile.values()):
                rows.append({"metric": "firing_rate", "value": 0.1, "unit": "spikes/step"})
            energy["measurements"] = rows
            found += [accuracy, energy]
    return Cells.of(found)


SPIKING = {"arithmetic": (30_000.0, 10_000.0, 100_000.0), "memory": (900_000.0, 700_000.0, 1_000_000.0)}
DENSE = {"arithmetic": (40_000.0, 40_000.0, 0.0), "memory": (800_000.0, 800_000.0, 0.0)}


def tables(prices):
    return {table.title.partition(":")[0]: table for table in energy_section(records(prices)).tables}


def test_rates_at_which_both_cost_the_same():
    table = tables({"lif": SPIKING, "plif": DENSE})["Rates at which spiking and dense cost the same"]
    (row,) = table.rows
    shown = dict(zip(table.columns, row, strict=True))
    assert [shown["spiking"].text, shown["dense"].text] == ["mlp-lif", "mlp-plif"]
    assert shown["rate (%)"].sort == pytest.approx(20)  # (30 - 10) / 100
    assert shown["arithmetic: equal at (%)"].sort == pytest.approx(30)  # (40 - 10) / 100
    assert shown["memory: equal at (%)"].sort == pytest.approx(10)
    cheaper, dearer = (shown[f"{profile}: energy ({TIMES} dense)"] for profile in PROFILES)
    assert (cheaper.sort, cheaper.strong) == (pytest.approx(0.75), True)
    assert (dearer.sort, dearer.strong) == (pytest.approx(1.125), False)


def test_the_front_is_what_nobody_beats_in_both():
    slow = {"arithmetic": (50_000.0, 50_000.0, 0.0), "memory": (100.0, 100.0, 0.0)}
    table = tables({"stl": SPIKING, "plif": DENSE, "lt": slow})["Front of energy against accuracy"]
    shown = {row[0].text: [entry.strong for entry in row[2:4]] for row in table.rows}
    # stl is the most accurate, then plif, then lt
    assert shown == {"mlp-stl": [True, True], "mlp-plif": [False, True], "mlp-lt": [False, True]}


def test_without_a_dense_network_there_are_no_such_tables():
    assert not {"Front of energy against accuracy"} & tables({"lif": SPIKING, "plif": SPIKING}).keys()


def test_orders_that_depend_on_the_profile_are_marked_and_told():
    table = tables({"lif": SPIKING, "plif": DENSE, "stl": DENSE})["Operations and energy per sample"]
    assert [row[1].text for row in table.rows] == [f"mlp-{name} {FLIP}" for name in ("lif", "plif", "stl")]
    assert "mlp-lif costs less than mlp-plif under arithmetic and more under memory; " in table.note
    calm = tables({"lif": SPIKING, "plif": SPIKING})["Operations and energy per sample"]
    assert FLIP not in calm.note + "".join(row[1].text for row in calm.rows)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([{0: 1, 1: 1}, {0: 2, 1: 2}], [{0: 3, 1: 3}, {0: 1, 1: 1}], {(0, 1): ("a", "b")}),
        ([{0: 1, 1: 1}, {0: 2, 1: 2}], [{0: 3, 1: 3}, {0: 2, 1: 2}], {}),  # equal is no order
        ([{0: 1, 1: 1}, {0: 2, 1: 0}], [{0: 3, 1: 3}, {0: 1, 1: 1}], {}),  # the seeds disagree
        ([{0: 1}, {0: 2}], [{1: 3}, {1: 1}], {}),  # no seed in common
        ([{0: 1}, {}], [{0: 3}, {0: 1}], {}),  # one has no price
    ],
)
def test_an_order_flips_where_every_seed_says_so(first, second, expected):
    assert flips({"a": [first[0], second[0]], "b": [first[1], second[1]]}) == expected
