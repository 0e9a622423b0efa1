from __future__ import annotations

import json
import math

import numpy as np
import pytest
from synthetic_records import accuracy_record

from spikemark.core.claims import CLAIMS, Arm, Claim, Contrast
from spikemark.errors import InputError
from spikemark.report import claims, write_report
from spikemark.report.cells import Cells
from spikemark.report.claims import judge
from spikemark.report.verdicts import overall
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
    return verdict(claim(**how), made)


def verdict(asked, made):
    return overall([row.verdict for row in judge(asked, Cells.of(made)) if row.planned])


def test_a_clear_difference_holds_in_its_direction_only():
    made = records(lif=0.80, stl=0.90)
    assert outcome(made) == "holds"
    assert outcome(made, expects="lower") == "opposite found"
    assert outcome(made, expects="equal") == "opposite found"


def test_a_tie_is_undecided_unless_the_margin_is_wide():
    made = records(lif=0.85, stl=0.85)
    assert outcome(made, margin=0.5) == "undecided"
    assert outcome(made, margin=5.0) == "smaller than margin"
    assert outcome(made, margin=5.0, expects="equal") == "holds"


def test_not_lower_allows_the_margin():
    made = records(lif=0.85, stl=0.84)
    assert outcome(made, expects="not lower", margin=5.0) == "holds"
    assert outcome(records(lif=0.9, stl=0.8), expects="not lower", margin=5.0) == "opposite found"
    assert outcome(made, expects="not lower", margin=0.5) == "undecided"


def test_costs_are_compared_as_ratios():
    made = records(lif=0.8, stl=0.8)
    for record in made:
        slow = 2.0 if record["cell"]["neuron"] == "stl" else 1.0
        value = slow * (1 + 0.01 * record["cell"]["seed"])
        record["measurements"].append({"metric": "epoch_seconds", "value": value, "unit": "s"})
    made[0]["measurements"][-1]["value"] *= 1.02
    (row,) = judge(claim(quantity="seconds per epoch"), Cells.of(made))
    assert row.verdict == "holds"
    assert np.exp(row.difference.value) == pytest.approx(2.0, rel=0.01)


def test_a_count_that_is_the_same_in_every_seed_is_certain():
    made = records(lif=0.8, stl=0.8)
    for record in made:
        value = 50.0 if record["cell"]["neuron"] == "stl" else 100.0
        record["measurements"].append({"metric": "saved_bytes", "value": value, "unit": "bytes/batch"})
    assert outcome(made, quantity="bytes saved for backward", expects="lower") == "holds"
    assert outcome(made, quantity="bytes saved for backward", expects="higher") == "opposite found"


def test_what_was_not_run_is_said():
    assert outcome(records(lif=0.8)) == "not run"
    (row,) = judge(claim(), Cells.of(records(plif=0.8)))
    assert row.verdict == "not run"


def test_a_claim_does_not_hold_while_a_contrast_was_not_run():
    made = records(lif=0.8, stl=0.9)
    wider = Claim("c", "s", "p", "f", (*claim().contrasts, Contrast(Arm("convnet-stl"), Arm("convnet-lif"))))
    assert [row.verdict for row in judge(wider, Cells.of(made))] == ["holds", "not run"]
    assert verdict(wider, made) == "undecided"
    opposite = Claim("c", "s", "p", "f", (*claim(expects="lower").contrasts, wider.contrasts[1]))
    assert verdict(opposite, made) == "opposite found"


def test_runs_without_a_result_are_said():
    made = records(lif=0.8, stl=0.9)
    for record in made:
        if record["cell"]["neuron"] == "stl":
            record |= {"status": "diverged", "error": "dead"}
    (row,) = judge(claim(), Cells.of(made))
    assert (row.verdict, row.problems) == ("not run", "5 diverged")


def test_degenerate_runs_count_where_the_claim_is_that_they_are_prevented():
    made = records(lif=0.1, stl=0.6)
    for record in made:
        if record["cell"]["neuron"] == "lif":
            record |= {"status": "degenerate", "error": "9 of 10 classes are never predicted"}
    assert outcome(made) == "not testable here"
    (row,) = judge(claim(collapse=True), Cells.of(made))
    assert (row.verdict, row.problems) == ("holds", "5 degenerate")
    for record in made:
        record |= {"status": "degenerate", "error": "9 of 10 classes are never predicted"}
    (row,) = judge(claim(collapse=True), Cells.of(made))
    assert (row.verdict, row.untestable) == ("not testable here", "5 of 5 runs of mlp-stl are degenerate")


def test_one_side_elsewhere_makes_no_row():
    made = records(lif=0.8, stl=0.9)
    elsewhere = [accuracy_record("norse", "lif", seed, np.ones(2000), suite="claims") for seed in SEEDS]
    assert [row.frameworks for row in judge(claim(), Cells.of([*made, *elsewhere]))] == [("fused",)]


def test_an_arm_is_of_its_variant():
    made = records(lif=0.8, stl=0.9)
    other = Claim("c", "s", "p", "f", (Contrast(Arm("mlp-stl", "t8"), Arm("mlp-lif")),))
    assert verdict(other, made) == "not run"


def test_the_report_of_the_ledger(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "CLAIMS", {"a-claim": claim()})
    for record in records(lif=0.80, stl=0.90):
        write_record(tmp_path / "claims", record)
    write_report(tmp_path / "claims", tmp_path / "out")
    text = " ".join((tmp_path / "out" / "claims.md").read_text().split())
    assert "| a-claim | stl beats lif | holds | 1 holds | none | as published |" in text
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
    assert sorted((row.dataset, row.verdict) for row in rows) == [
        ("digits, epochs 15", "holds"),
        ("digits, epochs 30", "opposite found"),
    ]
    assert [row.difference.n for row in rows] == [5, 5]


def test_degenerate_runs_decide_nothing():
    made = records(lif=0.80, stl=0.90)
    for record in made[:3]:
        record |= {"status": "degenerate", "error": "3 of 10 classes are never predicted"}
    (row,) = judge(claim(), Cells.of(made))
    assert (row.difference.n, row.problems) == (2, "3 degenerate")
    assert (row.verdict, row.untestable) == ("not testable here", "3 degenerate")


def test_fewer_than_five_seeds_decide_nothing():
    made = [record for record in records(lif=0.6, stl=0.9) if record["cell"]["seed"] < 4]
    assert outcome(made) == "undecided"


def moved(made, neuron, share):
    for record in made:
        if record["cell"]["neuron"] == neuron:
            change = {"layer": "hidden", "parameter": "threshold", "count": 8, "first": [1.0] * 7, "last": [1.1] * 7}
            still = change | {"layer": "output", "share_moved": 0.0, "share_not_positive": 0.0, "late": 0.0}
            record["trained"] = {
                "rule": {"name": "bptt"},
                "best_epoch": 1,
                "curve": [],
                "parameters": [change | {"share_moved": share, "share_not_positive": 0.0, "late": 0.1}, still],
                "recall": [],
                "silent": {},
            }
    return made


@pytest.mark.parametrize(("share", "expected"), [(0.09, "not testable here"), (0.11, "holds"), (1.0, "holds")])
def test_a_learned_threshold_that_did_not_move_tests_nothing(share, expected):
    made = moved(records(lif=0.8, stl=0.9), "stl", share)
    assert outcome(made, learned={"first": "threshold"}) == expected


def test_records_that_do_not_say_what_training_did_test_nothing_about_it():
    (row,) = judge(claim(learned={"second": "decay"}), Cells.of(records(lif=0.8, stl=0.9)))
    assert row.verdict == "not testable here"
    assert row.untestable == "no record says what training did to the decay of mlp-lif"


def test_a_data_set_that_the_claim_does_not_name_decides_nothing():
    made = records(lif=0.8, stl=0.9)
    later = records(lif=0.9, stl=0.8)
    for record in later:
        record["cell"]["dataset"] = "mnist"
    asked = Claim("c", "s", "p", "f", claim().contrasts, datasets=("digits",))
    rows = judge(asked, Cells.of([*made, *later]))
    assert [(row.dataset, row.verdict, row.planned) for row in rows] == [
        ("digits", "holds", True),
        ("mnist", "opposite found", False),
    ]
    assert verdict(asked, [*made, *later]) == "holds"


def test_frameworks_that_compute_the_same_are_one_row():
    made = records(lif=0.8, stl=0.9)
    copies = [
        accuracy_record("norse", n, s, np.random.default_rng([s, *n.encode()]).random(2000) < level, suite="claims")
        for n, level in (("lif", 0.8), ("stl", 0.9))
        for s in (0, 1)
    ]
    (row,) = judge(claim(), Cells.of([*copies, *made]))
    assert (row.frameworks, row.difference.n, row.verdict) == (("fused", "norse"), 5, "holds")


def test_what_frameworks_spend_is_judged_on_each():
    made = records(lif=0.8, stl=0.8)
    elsewhere = [json.loads(json.dumps(record).replace('"fused"', '"norse"')) for record in made]
    for record in (*made, *elsewhere):
        smaller = {"fused": 0.5, "norse": 2.0}[record["cell"]["framework"]]
        value = 100.0 * (smaller if record["cell"]["neuron"] == "stl" else 1.0)
        record["measurements"].append({"metric": "saved_bytes", "value": value, "unit": "bytes/batch"})
    rows = judge(claim(quantity="bytes saved for backward", expects="lower"), Cells.of([*made, *elsewhere]))
    assert [(row.frameworks, row.verdict) for row in rows] == [(("fused",), "holds"), (("norse",), "opposite found")]


@pytest.mark.parametrize("how", [{"margin": 0.5, "published": 0.2}, {"margin": 0.0}])
def test_a_margin_is_at_most_the_published_effect(how):
    with pytest.raises(InputError, match="margin"):
        claim(**how)


def test_what_a_framework_computes_otherwise_is_not_tested_on_it():
    made = records(lif=0.8, stl=0.9)
    (framework,) = {record["cell"]["framework"] for record in made}
    (row,) = judge(claim(not_on={framework: "it counts otherwise"}), Cells.of(made))
    assert (row.verdict, row.untestable) == ("not testable here", f"{framework}: it counts otherwise")
