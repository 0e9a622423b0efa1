"""The sentences that a report opens with follow from its tests, and name no winner where those find none."""

import numpy as np
import pytest
from synthetic_records import accuracy_record, make_record, suite_of

from spikemark.report.cells import Cells
from spikemark.report.findings import findings


def accuracies(**levels):
    random = np.random.default_rng(0)
    hard = random.random(4000)
    return Cells.of(
        [
            accuracy_record("reference", neuron, seed, hard + random.normal(0, 0.01, 4000) < level)
            for neuron, level in levels.items()
            for seed in range(5)
        ]
    )


def sentence(cells, topic):
    (found,) = [finding for finding in findings(cells) if finding.topic == topic]
    return found.sentence


def test_a_winner_is_named_only_where_the_test_finds_it():
    assert sentence(accuracies(lif=0.8, stl=0.9, lt=0.7), "Accuracy") == (
        "On digits, mlp (reference, 5 seeds): mlp-stl (90.5 %) is the most accurate; mlp-lif and mlp-lt are less "
        "accurate."
    )


def test_ties_are_said_to_be_ties_with_what_could_have_been_seen():
    said = sentence(accuracies(lif=0.8, stl=0.8), "Accuracy")
    assert said.startswith(
        "On digits, mlp (reference, 5 seeds): no difference between 2 systems is found; a difference of "
    )
    assert said.endswith(" points could have been seen.")


def test_who_is_worse_is_told_beside_ties():
    said = sentence(accuracies(lif=0.8, stl=0.8, lt=0.7), "Accuracy")
    assert said.endswith(" cannot be told apart; mlp-lt is less accurate.")


def test_energy_and_speed_are_relative_to_lif_and_the_reference():
    cells = Cells.of(suite_of(seeds=3, frameworks=("reference", "norse"), neurons=("lif", "stl")))
    assert sentence(cells, "Energy").startswith("Energy per sample on digits, mlp (45nm-fp32)")
    assert "norse" in sentence(cells, "Speed")
    assert "reference 1" not in sentence(cells, "Speed")


def test_cells_without_a_result_are_told():
    failed = make_record("accuracy", "norse", "lt", 0, status="failed", error="no")
    cells = Cells.of([*accuracies(lif=0.8, stl=0.9), failed])
    assert sentence(cells, "Left out") == "Trainings without a usable result: 1 failed."


@pytest.mark.parametrize("records", [[], [accuracy_record("reference", "lif", 0, np.ones(10))]])
def test_nothing_is_said_where_there_is_nothing_to_say(records):
    assert findings(Cells.of(records)) == []


def test_every_sentence_leads_to_a_section(tmp_path):
    from spikemark.report import sections_of

    cells = Cells.of(suite_of(seeds=3, frameworks=("reference", "norse"), neurons=("lif", "stl")))
    anchors = {section.anchor for section in sections_of(cells)}
    found = findings(cells)
    assert len(found) >= 3
    assert {finding.anchor for finding in found} <= anchors
