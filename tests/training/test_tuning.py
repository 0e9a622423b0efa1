"""Options that validation chooses: the search by hand, what it may search, and the whole way into a record."""

import json

import pytest

import spikemark
from spikemark import NEURONS, SYSTEMS, Bptt
from spikemark.suites.suite import SuiteError, load_suite
from spikemark.training.rule import Optimizer
from spikemark.training.tuning import Choice, Tuning, tune, with_options

RATES = Choice(option="optimizer.learning_rate", values=(0.1, 0.01, 0.001))
FACTORS = Choice(option="optimizer.threshold_learning_rate_factor", values=(1, 10))
TUNING = Tuning(search=(RATES, FACTORS), epochs=1)


def options(rule):
    return rule.optimizer.learning_rate, rule.optimizer.threshold_learning_rate_factor


def test_one_option_after_the_other_each_with_the_earlier_ones_as_chosen():
    scores = {(0.1, 1): 0.2, (0.01, 1): 0.5, (0.001, 1): 0.4, (0.01, 10): 0.7}
    asked = []
    rule, trials = tune(Bptt(), TUNING, frozenset(), lambda rule: asked.append(options(rule)) or scores[options(rule)])
    assert asked == [(0.1, 1), (0.01, 1), (0.001, 1), (0.01, 10)]  # (0.01, 1) is not trained twice
    assert options(rule) == (0.01, 10)
    assert [trial.validation_accuracy for trial in trials] == [0.2, 0.5, 0.4, 0.7]


def test_the_first_of_equal_values_wins_and_a_divergence_loses():
    rule, trials = tune(Bptt(), TUNING, frozenset(), lambda rule: None if options(rule)[0] == 0.1 else 0.5)
    assert options(rule) == (0.01, 1)
    assert trials[0].validation_accuracy is None


def test_idle_options_stay_as_they_are():
    rule, trials = tune(Bptt(), TUNING, frozenset({FACTORS.option}), lambda rule: options(rule)[0])
    assert options(rule) == (0.1, 1)
    assert len(trials) == 3


def test_the_rest_of_the_rule_is_kept():
    rule = Bptt(loss="cross-entropy-rate", optimizer=Optimizer(schedule="exponential", gamma=0.5))
    told = with_options(rule, {"optimizer.learning_rate": 0.5})
    assert told == Bptt(
        loss="cross-entropy-rate", optimizer=Optimizer(schedule="exponential", gamma=0.5, learning_rate=0.5)
    )


@pytest.mark.parametrize(
    ("neuron", "trains", "idle"),
    [
        ("stl", "all", {"decay"}),
        ("plif", "all", {"threshold"}),
        ("diet", "all", set()),
        ("lif", "all", {"threshold", "decay"}),
        ("stl", "weights", {"threshold", "decay"}),
        ("stl", "gamma", {"threshold", "decay"}),
        ("stl", "thresholds", {"decay"}),
        ("stl", "weights+thresholds", {"decay"}),
    ],
)
def test_step_sizes_of_what_is_not_learned_are_idle(neuron, trains, idle):
    found = Bptt(trains=trains).idle(NEURONS[neuron])
    assert found == {f"optimizer.{name}_learning_rate_factor" for name in idle}


def suite(**changes):
    return {
        "name": "tuned",
        "frameworks": ["reference"],
        "systems": ["mlp-stl", "mlp-stl-sl"],
        "datasets": ["digits"],
        "seeds": [0, 1],
        "measures": ["accuracy"],
        "sizes": {"train": 400, "validation": 100, "test": 50},
        "training": {"epochs": 2, "batch_size": 50},
        "tuning": {
            "epochs": 5,
            "search": [
                {"option": "optimizer.learning_rate", "values": [1e-6, 0.01]},
                {"option": "optimizer.threshold_learning_rate_factor", "values": [1, 100]},
            ],
        },
    } | changes


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        ({"search": [{"option": "optimizer.pace", "values": [1]}]}, "tuning of mlp-stl: rule bptt: optimizer.pace"),
        ({"search": [{"option": "optimizer.learning_rate", "values": [-1]}]}, "optimizer.learning_rate"),
        ({"search": [{"option": "loss.weight", "values": [1]}]}, "rule bptt: loss"),
        ({"search": []}, "search"),
        ({"seed": 1}, "tuning.seed: 1 is a seed of the runs"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_a_search_that_no_rule_can_follow_is_refused_before_anything_runs(tuning, message):
    with pytest.raises(SuiteError, match=message) as error:
        load_suite(suite(tuning=suite()["tuning"] | tuning))
    assert "\n" not in str(error.value)


def test_all_seeds_train_with_what_one_search_chose_and_the_record_says_so(tmp_path):
    spikemark.run(suite(), out=tmp_path, workers=0)
    records = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    assert len(records) == 4
    for record in records:
        trained = record["trained"]
        assert trained["rule"]["optimizer"]["learning_rate"] == 0.01
        tried = [trial["options"] for trial in trained["tuning"]]
        learns = record["cell"]["system"] == "mlp-stl"
        assert len(tried) == (3 if learns else 2)
        best = max(trained["tuning"], key=lambda trial: trial["validation_accuracy"])["options"]
        factor = best.get("optimizer.threshold_learning_rate_factor", 1)
        assert trained["rule"]["optimizer"]["threshold_learning_rate_factor"] == factor
    # One search per system, not per seed, and its scores are kept for the next run.
    assert len(list((tmp_path / "weights").glob("*.trials"))) == 2


def test_scores_of_a_search_are_not_trained_again(tmp_path, monkeypatch):
    spikemark.run(suite(seeds=[0]), out=tmp_path, workers=0)
    trainings = []
    from spikemark.measures import subject

    original = subject.train
    monkeypatch.setattr(subject, "train", lambda *args: trainings.append(1) or original(*args))
    spikemark.run(suite(), out=tmp_path, workers=0)
    assert len(trainings) == 2  # one run of the new seed for each system, and no trial


def test_untuned_systems_keep_their_keys():
    plain = {name: value for name, value in suite().items() if name != "tuning"}
    (point, *_) = load_suite(plain).points()
    assert set(point.settings) == {"sizes", "encoding", "training"}
    assert "tuning" in next(iter(load_suite(suite()).points())).settings


def test_the_step_size_of_decays_moves_decays_alone():
    from spikemark import get_adapter
    from spikemark.training.build import build_system
    from spikemark.training.optimisers import parameter_groups

    model = build_system(SYSTEMS["mlp-diet"], get_adapter("reference"), (4,), 2, 0)
    optimizer = Optimizer(learning_rate=0.5, decay_learning_rate_factor=10, threshold_learning_rate_factor=3)
    groups = parameter_groups(model, optimizer, list(model.parameters()))
    by_rate = {group.get("lr"): {id(p) for p in group["params"]} for group in groups}
    layers = list(model.spiking_layers())
    assert by_rate[5.0] == {id(layer.learnables()["decay"]) for layer in layers}
    assert by_rate[1.5] == {id(layer.learnables()["threshold"]) for layer in layers}
    assert sum(map(len, by_rate.values())) == len(list(model.parameters()))
