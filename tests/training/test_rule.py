"""What a rule can be told: its own options, each of its type and within its range, on one line where it is not."""

import json
import pickle
import re

import pytest

from spikemark import SYSTEMS
from spikemark.errors import InputError, UnknownNameError
from spikemark.training.bptt import Bptt
from spikemark.training.rule import RULES, Optimizer, Rule


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "bptt", "los": "x"}, "rule bptt: los: no field 'los'; did you mean 'loss'?"),
        ({"los": "x"}, "rule bptt: los: "),  # backpropagation through time is the rule where none is named
        ({"name": "bptt", "readings": "men"}, "rule bptt: readings: 'men' is not one of 'mean' or 'sum'"),
        ({"name": "bptt", "desired": 5}, "rule bptt: desired: no field 'desired'"),
        ({"name": "bptt", "optimizer": {"lr": 1}}, "rule bptt: optimizer.lr: there is no field 'lr'"),
        ({"name": "bptt", "optimizer": {"learning_rate": "0.1"}}, "rule bptt: optimizer.learning_rate: "),
        ({"name": "bptt", "optimizer": {"learning_rate": float("nan")}}, "rule bptt: optimizer.learning_rate: "),
        ({"name": "bptt", "optimizer": 3}, "rule bptt: optimizer: "),
        ({"name": "bptt", "optimizer": {"momentum": 0.5}}, "rule bptt: optimizer: momentum: adam has none"),
        ({"name": "bptt", "optimizer": {"gamma": 0.5}}, "rule bptt: optimizer: gamma: the schedule cosine has none"),
        ({"name": "bptt", "loss": object}, "rule bptt: loss: "),
        ({"name": "bptt", "consistency": 0.5}, "rule bptt: consistency: no field 'consistency'"),
        ({"name": "bptt+consistency", "consistency": "x"}, "rule bptt+consistency: consistency: "),
        ({"name": "bptt+consistency", "consistency": 0}, "rule bptt+consistency: consistency: "),
        ({"name": "spike-time", "desired": "five"}, "rule spike-time: desired: "),
        ({"name": "spike-time", "transfer": 1}, "rule spike-time: transfer: "),
        ({"name": "sleep-stdp", "fraction": 2}, "rule sleep-stdp: fraction: "),
        ({"name": "sleep-stdp", "trains": "thresholds"}, "rule sleep-stdp: trains: no field 'trains'"),
        ({"name": "bptt+sleep", "steps": 0}, "rule bptt+sleep: steps: "),
        ({"name": "rate-m", "streaming": True}, "rule rate-m: streaming: no field 'streaming'"),
        ({"name": "first-spike", "rule": "s2-stdp", "causal": 0.1}, "rule first-spike: other: is missing"),
    ],
)
def test_a_wrong_option_is_named_with_its_rule_on_one_line(data, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}") as caught:
        Rule.from_dict(data)
    assert "\n" not in str(caught.value)


def test_an_unknown_rule_is_named():
    with pytest.raises(UnknownNameError, match="no rule 'btpt'; did you mean 'bptt'"):
        Rule.from_dict({"name": "btpt"})


def test_the_same_holds_in_python():
    with pytest.raises(InputError, match=r"^readings: 'men' is not one of"):
        Bptt(readings="men")
    with pytest.raises(InputError, match=r"^los: no field 'los'"):
        Bptt(los="mse-rate")
    with pytest.raises(InputError, match=r"^optimizer"):
        Bptt(optimizer="sgd")


def test_rules_of_all_systems_survive_json_and_processes():
    assert {row.rule.name for row in SYSTEMS.values()} == set(RULES)
    for row in SYSTEMS.values():
        assert Rule.from_dict(json.loads(json.dumps(row.rule.to_dict()))) == row.rule
        assert pickle.loads(pickle.dumps(row.rule)) == row.rule


def test_a_rule_is_told_apart_by_its_options():
    assert Bptt(optimizer=Optimizer(name="sgd")).to_dict() == {"name": "bptt", "optimizer": {"name": "sgd"}}
    assert Bptt().to_dict() == {"name": "bptt"} == Bptt(loss="mse-rate").to_dict()
