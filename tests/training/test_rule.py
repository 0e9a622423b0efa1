"""What a rule can be told: an option that it does not have, or cannot have so, is one line that names rule and option."""

import pytest

from spikemark import SYSTEMS, Bptt, System
from spikemark.errors import InputError, UnknownNameError
from spikemark.registry import registry
from spikemark.training.rule import Optimizer, Rule


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "bptt", "los": "x"}, r"^rule bptt: los: .*did you mean 'loss'"),
        ({"name": "bptt", "loss": "hinge"}, r"^rule bptt: loss: 'hinge' is not one of"),
        ({"name": "bptt", "readings": "men"}, r"^rule bptt: readings: 'men' is not one of"),
        ({"name": "bptt", "optimizer": {"learning_rate": -1}}, r"^rule bptt: optimizer.learning_rate: .*found -1"),
        ({"name": "bptt", "optimizer": {"rate": 1}}, r"^rule bptt: optimizer.rate: "),
        ({"name": "bptt+consistency", "consistency": "x"}, r"^rule bptt\+consistency: consistency: .*found 'x'"),
        ({"name": "rate-m", "readings": "sum"}, r"^rule rate-m: readings: "),
        ({"name": "spike-time", "desired": "five"}, r"^rule spike-time: desired: .*found 'five'"),
        ({"name": "spike-time", "normalization": "tebn"}, r"^rule spike-time: normalization: "),
        ({"name": "sleep-stdp", "fraction": 2}, r"^rule sleep-stdp: fraction: .*found 2"),
        ({"name": "sleep-stdp", "loss": "mse-rate"}, r"^rule sleep-stdp: loss: "),
        ({"name": "first-spike", "rule": "s2-stdp"}, r"^rule first-spike: causal: is missing"),
        ({"name": "first-spike", "rule": "stdp", "causal": 0, "other": 0}, r"^rule first-spike: rule: 'stdp' is not"),
    ],
)
def test_a_wrong_option_is_named_with_its_rule(options, message):
    with pytest.raises(InputError, match=message) as error:
        Rule.from_dict(options)
    assert "\n" not in str(error.value)


def test_an_unknown_rule_has_a_hint():
    with pytest.raises(UnknownNameError, match="no rule 'bpt'; did you mean 'bptt'"):
        Rule.from_dict({"name": "bpt"})


def test_options_given_in_python_are_checked_the_same():
    with pytest.raises(InputError, match="^readings: 'men' is not one of"):
        Bptt(readings="men")
    with pytest.raises(InputError, match="^los: no field 'los'; did you mean 'loss'"):
        Bptt(los="mse-rate")
    with pytest.raises(InputError, match="rule is 'bptt'; expected options"):
        System("lif", "mlp", "bptt")


def test_rules_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Bptt().loss = "cross-entropy-rate"


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_systems_definition_is_all_of_it(name):
    system = SYSTEMS[name]
    again = System.from_dict(system.to_dict())
    assert again.to_dict() == system.to_dict()
    assert (again.rule, again.neuron, again.network, dict(again.options)) == (
        system.rule,
        system.neuron,
        system.network,
        dict(system.options),
    )
    known = set(registry("rule")[system.rule.name].model_fields) | {"name"}
    assert system.to_dict()["rule"].keys() <= known


def test_options_with_their_default_do_not_enter_keys():
    assert Bptt(optimizer=Optimizer()).to_dict() == {"name": "bptt"}
    assert Bptt(optimizer=Optimizer(weight_decay=0.5)).to_dict() == {"name": "bptt", "optimizer": {"weight_decay": 0.5}}
