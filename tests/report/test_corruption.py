import pytest
from synthetic_records import make_record

from spikemark.report.cells import Cells
from spikemark.report.corruption import corruption_section
from spikemark.report.model import DASH


def curve_record(neuron, seed, clean, losses):
    """Accuracy `clean`, less one of `losses` (severity 1 and 2) under the noise."""
    values = [clean, clean - losses[0], clean - losses[1]]
    rows = [
        {"metric": "accuracy", "unit": "fraction", "split": "test", "noise": "gaussian", "severity": s, "value": v}
        for s, v in enumerate(values)
    ]
    return make_record("robustness", "norse", neuron, seed, measurements=rows)


def rows_of(records):
    section = corruption_section(Cells.of(records))
    return {row[1].text: row for row in section.tables[0].rows}, section


def test_relative_error_does_not_reward_a_better_clean_accuracy():
    records = [curve_record("lif", s, 0.8, (0.1, 0.3)) for s in range(3)]
    records += [curve_record("stl", s, 0.9, (0.1, 0.3)) for s in range(3)]
    rows, _ = rows_of(records)
    assert [rows["mlp-lif"][column].sort for column in (2, 3)] == pytest.approx([1, 1])
    assert rows["mlp-stl"][2].sort == pytest.approx((0.2 + 0.4) / (0.3 + 0.5))
    assert rows["mlp-stl"][3].sort == pytest.approx(1)


def test_twice_the_loss_is_twice_the_relative_error():
    records = [curve_record("lif", s, 0.8, (0.1 + 0.002 * s, 0.2)) for s in range(3)]
    records += [curve_record("stl", s, 0.8, (0.2, 0.4 + 0.001 * s * s)) for s in range(3)]
    rows, section = rows_of(records)
    assert rows["mlp-stl"][3].sort == pytest.approx(2, rel=0.02)
    assert rows["mlp-stl"][3].text.partition(" ")[0] in section.figures[0].svg


def test_a_noise_that_costs_the_baseline_nothing_has_no_relative_error():
    records = [curve_record("lif", s, 0.8, (0.0, 0.001)) for s in range(3)]
    records += [curve_record("stl", s, 0.8, (0.2, 0.4)) for s in range(3)]
    rows, _ = rows_of(records)
    assert rows["mlp-stl"][3].text == DASH
    assert rows["mlp-stl"][4].text == "0"


def test_without_the_baseline_there_is_no_section():
    assert corruption_section(Cells.of([curve_record("stl", 0, 0.8, (0.1, 0.2))])).tables == []


def test_chance_is_that_of_the_record():
    (record,) = [curve_record("lif", 0, 0.9, (0.2, 0.4))]
    _, section = rows_of([record])
    assert section.tables[1].rows[0][4].sort == pytest.approx((0.8 + 2 * 0.6 + 0.4) / 4 / 0.8)
    record["chance"] = None
    _, section = rows_of([record])
    assert section.tables[1].rows[0][4].text == DASH
