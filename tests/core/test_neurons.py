import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest

from spikemark.core.neurons import NEURONS, Adaptation, Learnable, NeuronSpec, Surrogate

LIF = NEURONS["lif"]
SPECS = [name for name, neuron in NEURONS.items() if isinstance(neuron, NeuronSpec)]


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Learnable(math.nan), "init"),
        (lambda: Learnable(True), "init"),
        (lambda: Learnable(0.5, "network"), "scope"),
        (lambda: Learnable(0.5, "layer", "relu"), "transform"),
        (lambda: Learnable(1.0, "layer", "sigmoid"), "init"),
        (lambda: Learnable(-1.0, "layer", "tanh"), "init"),
        (lambda: Learnable(0.0, "layer", "softplus"), "init"),
        (lambda: Learnable(-0.1, "layer", "exp"), "init"),
        (lambda: Learnable(0.5, jitter=-1.0), "jitter"),
        (lambda: Surrogate("gauss", 1.0), "name"),
        (lambda: Surrogate("atan", 0.0), "alpha"),
        (lambda: Surrogate("atan", 1.0, scale=math.inf), "scale"),
        (lambda: Surrogate("atan", 1.0, relative=1), "relative"),
        (lambda: replace(LIF, decay=0.5), "decay"),
        (lambda: replace(LIF, decay=Learnable(1.5)), "decay.init"),
        (lambda: replace(LIF, reset="half"), "reset"),
        (lambda: replace(LIF, detach_reset="yes"), "detach_reset"),
        (lambda: replace(LIF, fires_at_threshold=None), "fires_at_threshold"),
        (
            lambda: replace(LIF, threshold=Learnable(0.0), surrogate=Surrogate("atan", 2.0, relative=True)),
            "threshold.init",
        ),
        (lambda: Adaptation(Learnable(1.5), Learnable(1.0)), "decay.init"),
        (lambda: replace(LIF, adaptation=0.5), "adaptation"),
    ],
)
def test_a_wrong_field_is_named_first_in_the_message(make, field):
    with pytest.raises(ValueError, match=rf"^{field}: "):
        make()


@pytest.mark.parametrize("name", SPECS)
def test_the_catalogue_round_trips_through_json_and_cites_its_source(name):
    spec = NEURONS[name]
    back = NeuronSpec.from_json(spec.to_json())
    assert back == spec
    assert hash(back) == hash(spec)
    assert back.to_json() == spec.to_json()
    assert spec.source
    assert "source" not in spec.to_dict()


def test_whole_numbers_become_floats_so_that_equal_specs_have_equal_json():
    whole = replace(LIF, threshold=Learnable(1, jitter=0), surrogate=Surrogate("atan", 2, scale=1))
    assert whole == LIF
    assert whole.to_json() == LIF.to_json()


def test_an_adaptation_is_part_of_the_dynamics_and_of_the_json_only_where_there_is_one():
    adapting = replace(LIF, adaptation=Adaptation(Learnable(0.5), Learnable(1.6, "layer")))
    assert adapting != LIF
    assert NeuronSpec.from_json(adapting.to_json()) == adapting
    assert list(adapting.parameters) == ["threshold", "decay", "adaptation_decay", "adaptation_strength"]
    assert "adaptation" not in LIF.to_dict()


def test_the_source_is_no_part_of_the_dynamics():
    assert replace(LIF, source="elsewhere") == LIF


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.pop("reset"), "neuron spec: reset: is missing"),
        (lambda d: d.update(speed=1), "neuron spec: speed: no field 'speed'"),
        (lambda d: d["decay"].pop("init"), "decay.init: is missing"),
        (lambda d: d["surrogate"].update(alpha=-1), "surrogate.alpha: Input should be greater than 0, found -1"),
        (lambda d: d["threshold"].update(scope="brain"), "threshold.scope: 'brain' is not one of"),
    ],
)
def test_json_of_another_shape_says_what_is_wrong(edit, message):
    data = LIF.to_dict()
    edit(data)
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        NeuronSpec.from_json(json.dumps(data))


def test_json_that_is_no_object_is_refused():
    with pytest.raises(ValueError, match="neuron spec: Input should be an object"):
        NeuronSpec.from_json("[1]")


def test_importing_the_specs_imports_neither_torch_nor_a_framework():
    heavy = ("torch", "pandas", "spikingjelly", "snntorch", "norse")
    code = f"import sys, spikemark.core.neurons; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
