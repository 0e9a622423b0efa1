from __future__ import annotations

import math

import numpy as np
import pytest
from synthetic_records import accuracy_record

from spikemark.core.claims import CLAIMS, Arm, Claim, Contrast
from spikemark.report import claims, write_report
from spikemark.report.cells import Cells
from spikemark.report.claims import judge, overall
from spikemark.suites.records import write_record
from spikemark.suites.suite import load_suite

SEEDS = range(5)


def records(**levels):
    """Five seeds a neuron at an accuracy of `level`, each with its own luck."""
    made = []
    for neuron, level in levels.items():
        for seed in SEEDS:
            rng = np.random.default_rng([seed, *neuron.encode()])
            correct = rng.random(2000) < level
            made.append(accuracy_record("fused", neuron, seed, correct, suite="claims"))
    return made


def claim(**how):
    return Claim("a-claim", "stl beats lif", "a source", "none", (Contrast(Arm("mlp-stl"), Arm("mlp-lif"), **how),))


def outcome(made, **how):
    return overall(judge(claim(**how), Cells.of(made)))


def test_a_clear_difference_holds_in_its_direction_only():
    made = records(lif=0.80, stl=0.90)
    assert outcome(made) == "holds"
    assert outcome(made, expects="lower") == "does not hold here"
    assert outcome(made, expects="equal") == "does not hold here"


def test_a_tie_is_undecided_unless_the_margin_is_wide():
    made = records(lif=0.85, stl=0.85)
    assert outcome(made, margin=0.5) == "undecided at this power"
    assert outcome(made, margin=5.0) == "does not hold here"
    assert outcome(made, margin=5.0, expects="equal") == "holds"


def test_not_lower_allows_the_margin():
    made = records(lif=0.85, stl=0.84)
    assert outcome(made, expects="not lower", margin=5.0) == "holds"
    assert outcome(records(lif=0.9, stl=0.8), expects="not lower", margin=5.0) == "does not hold here"
    assert outcome(made, expects="not lower", margin=0.5) == "undecided at this power"


def test_costs_are_compared_as_ratios():
    made = records(lif=0.8, stl=0.8)
    for record in made:
        slow = 2.0 if record["cell"]["neuron"] == "stl" else 1.0
        value = slow * (1 + 0.01 * record["cell"]["seed"])
        record["measurements"].append({"metric": "epoch_seconds", "value": value, "unit": "s"})
    made[0]["measurements"][-1]["value"] *= 1.02
    (row,) = judge(claim(quantity="seconds per epoch"), Cells.of(made))
    assert row.outcome == "holds"
    assert np.exp(row.difference.value) == pytest.approx(2.0, rel=0.01)


def test_a_count_that_is_the_same_in_every_seed_is_certain():
    made = records(lif=0.8, stl=0.8)
    for record in made:
        value = 50.0 if record["cell"]["neuron"] == "stl" else 100.0
        record["measurements"].append({"metric": "saved_bytes", "value": value, "unit": "bytes/batch"})
    assert outcome(made, quantity="bytes saved for backward", expects="lower") == "holds"
    assert outcome(made, quantity="bytes saved for backward", expects="higher") == "does not hold here"


def test_what_was_not_run_is_said():
    assert outcome(records(lif=0.8)) == "not run"
    assert judge(claim(), Cells.of(records(plif=0.8))) == []


def test_runs_without_a_result_are_said():
    made = records(lif=0.8, stl=0.9)
    for record in made:
        if record["cell"]["neuron"] == "stl":
            record |= {"status": "diverged", "error": "dead"}
    (row,) = judge(claim(), Cells.of(made))
    assert (row.outcome, row.problems) == ("not run", "5 diverged")


def test_one_side_elsewhere_makes_no_row():
    made = records(lif=0.8, stl=0.9)
    elsewhere = [accuracy_record("norse", "lif", seed, np.ones(2000), suite="claims") for seed in SEEDS]
    assert [row.framework for row in judge(claim(), Cells.of([*made, *elsewhere]))] == ["fused"]


def test_an_arm_is_of_its_variant():
    made = records(lif=0.8, stl=0.9)
    other = Claim("c", "s", "p", "f", (Contrast(Arm("mlp-stl", "t8"), Arm("mlp-lif")),))
    assert overall(judge(other, Cells.of(made))) == "not run"


def test_the_report_of_the_ledger(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "CLAIMS", {"a-claim": claim()})
    for record in records(lif=0.80, stl=0.90):
        write_record(tmp_path / "claims", record)
    write_report(tmp_path / "claims", tmp_path / "out")
    text = " ".join((tmp_path / "out" / "claims.md").read_text().split())
    assert "| a-claim | stl beats lif | holds | 1 holds | none |" in text
    assert "spikemark run claims --only system=mlp-stl,mlp-lif" in text


def test_every_arm_of_the_ledger_is_run_by_its_suite():
    run = {(point.system_name, point.variant) for point in load_suite("claims").points()}
    ledger = claims.registered()
    arms = {(arm.system, arm.variant) for claim in ledger for c in claim.contrasts for arm in (c.first, c.second)}
    assert ledger
    assert arms <= run
    assert [claim.name for claim in ledger] == list(CLAIMS)


def test_effects_of_accuracy_and_of_costs_are_drawn_apart(monkeypatch):
    contrast = Contrast(Arm("mlp-stl"), Arm("mlp-lif"))
    cost = Contrast(Arm("mlp-stl"), Arm("mlp-lif"), quantity="seconds per epoch", expects="lower")
    made_up = Claim("a-claim", "stl beats lif", "a source", "none", (contrast, cost))
    monkeypatch.setattr(claims, "CLAIMS", {"a-claim": lambda: made_up})
    made = records(lif=0.80, stl=0.90)
    for record in made:
        slow = 2.0 if record["cell"]["neuron"] == "stl" else 1.0
        record["measurements"].append({"metric": "epoch_seconds", "value": slow, "unit": "s"})
    section, _ = claims.claims_sections(Cells.of(made))
    assert [figure.name for figure in section.figures] == ["effects-accuracy", "effects-costs"]
    accuracy, costs = section.charts
    assert accuracy.data[0]["x"][0] == pytest.approx(math.asinh(10), abs=0.3)
    assert costs.data[0]["x"] == [pytest.approx(math.log(2))]


def test_any_suite_with_both_sides_of_a_contrast_has_its_claims_judged(monkeypatch):
    other = Claim("untested", "s", "p", "f", (Contrast(Arm("mlp-stl"), Arm("elsewhere")),))
    monkeypatch.setattr(claims, "CLAIMS", {"a-claim": claim(), "untested": other})
    made = [
        accuracy_record("norse", n, s, np.arange(200) < 150 + s, suite="mine") for n in ("lif", "stl") for s in SEEDS
    ]
    overview, details = claims.claims_sections(Cells.of(made))
    assert [row[0].text for row in overview.tables[0].rows] == ["a-claim"]
    assert "not in these records: 1." in overview.tables[0].note
    assert "spikemark run mine --only system=mlp-stl,mlp-lif" in details.tables[0].note
    assert claims.claims_sections(Cells.of(made[:5])) == []
    assert claims.claims_sections(Cells.of([r for r in made if r["cell"]["neuron"] == "stl"])) == []


def test_settings_are_not_mixed_within_a_contrast():
    made = records(lif=0.80, stl=0.90)
    longer = records(lif=0.90, stl=0.80)
    for record in longer:
        settings = record["cell"]["settings"]
        record["cell"]["settings"] = settings | {"training": settings["training"] | {"epochs": 30}}
    rows = judge(claim(), Cells.of([*made, *longer]))
    assert sorted((row.dataset, row.outcome) for row in rows) == [
        ("digits, epochs 15", "holds"),
        ("digits, epochs 30", "does not hold here"),
    ]
    assert [row.difference.n for row in rows] == [5, 5]


def test_degenerate_runs_decide_nothing():
    made = records(lif=0.80, stl=0.90)
    for record in made[:3]:
        record |= {"status": "degenerate", "error": "3 of 10 classes are never predicted"}
    (row,) = judge(claim(), Cells.of(made))
    assert (row.difference.n, row.problems) == (2, "3 degenerate")
