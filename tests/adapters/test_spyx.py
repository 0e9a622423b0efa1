"""The adapter of Spyx, in its environment: which specs its neurons are, and why not the others."""

from dataclasses import replace

import pytest

from spikemark.core.adapter import Unsupported
from spikemark.core.frameworks import FRAMEWORKS, environment
from spikemark.core.neurons import NEURONS, Adaptation, Learnable, Surrogate
from spikemark.core.remote import call

pytestmark = pytest.mark.skipif(
    "spyx" not in FRAMEWORKS or environment("spyx").state() != "built",
    reason="needs the environment of spyx: spikemark env build spyx",
)
SOFT = NEURONS["lif-soft"]
NONE = replace(SOFT, reset="none", decay=Learnable(0.5, "neuron", "sigmoid"), threshold=Learnable(1.0, "channel"))
SPECS = {
    "no reset": replace(NONE, surrogate=Surrogate("atan", 2.0), fires_at_threshold=False),
    "no reset, relative, decayed": replace(
        NONE, decay=Learnable(0.875), decay_input=True, surrogate=Surrogate("superspike", 2.0, 0.5, relative=True)
    ),
    "no leak": replace(
        SOFT,
        decay=Learnable(1.0),
        threshold=Learnable(1.0, "neuron"),
        detach_reset=False,
        surrogate=Surrogate("triangle", 1.0),
    ),
}
REFUSED = {
    "reset: spyx has subtract and none, not zero": NEURONS["lif"],
    "reset: spyx subtracts the threshold after the leak": replace(SOFT, detach_reset=False),
    "detach_reset: a gradient flows": replace(SOFT, decay=Learnable(1.0)),
    "decay.transform: spyx clips a decay": replace(NONE, decay=Learnable(0.5, "layer")),
    "adaptation: spyx's ALIF": replace(NONE, adaptation=Adaptation(Learnable(0.5), Learnable(0.25))),
}
SMALL = {"shapes": ((2, 3),), "steps": (8,), "batch": 3}


def spyx(function, *arguments):
    return call(environment("spyx"), f"environment_cases:{function}", *arguments)


@pytest.mark.parametrize("name", SPECS)
def test_it_conforms(name):
    differing, single, double, route = spyx("conforms", "spyx", SPECS[name], SMALL)
    assert (differing, route) == (0, "composed")
    assert single < 1e-5
    assert double < 1e-10


@pytest.mark.parametrize("reason", REFUSED)
def test_what_its_neurons_are_not_is_refused_in_one_line(reason):
    with pytest.raises(Unsupported, match=reason) as error:
        spyx("conforms", "spyx", REFUSED[reason], SMALL)
    assert "\n" not in str(error.value)


def test_a_spike_leaves_a_step_late_and_the_threshold_is_subtracted_after_the_leak():
    as_they_are, in_time = spyx("late_spikes_of_spyx", 1.0)
    assert as_they_are > 0
    assert in_time == 0
    assert spyx("late_spikes_of_spyx", 0.5)[1] > 0
