"""The adapter of Rockpool, in its environment: conformance, its own neurons, counts and `evaluate` of its networks."""

import math
from dataclasses import replace

import pytest
import torch
from users_networks import measured_with_several_spikes

from spikemark.core.adapter import Unsupported
from spikemark.core.environments import FOLDER_VARIABLE, MissingEnvironment, locked_environment
from spikemark.core.frameworks import FRAMEWORKS, environment
from spikemark.core.neurons import NEURONS, Adaptation, Learnable, Surrogate, own_neurons
from spikemark.core.remote import call

needs_rockpool = pytest.mark.skipif(
    "rockpool" not in FRAMEWORKS or environment("rockpool").state() != "built",
    reason="needs the environment of rockpool: spikemark env build rockpool",
)
SOFT = NEURONS["lif-soft"]
THROUGH_SIGMOID = Learnable(0.5, "neuron", "sigmoid")
SPECS = {
    "diet": (NEURONS["diet"], "composed"),
    "lif-soft": (SOFT, "composed"),
    "with gradient, all learned": (
        replace(
            SOFT,
            decay=THROUGH_SIGMOID,
            threshold=Learnable(1.0, "neuron"),
            detach_reset=False,
            fires_at_threshold=False,
        ),
        "native",
    ),
    "no leak, decayed": (replace(SOFT, decay=Learnable(0.875), decay_input=True, detach_reset=False), "native"),
    "without a memory": (replace(SOFT, decay=Learnable(0.0)), "composed"),
    "relative": (
        replace(SOFT, detach_reset=False, surrogate=Surrogate("triangle", 1.0, relative=True), decay=Learnable(1.0)),
        "native",
    ),
    "adapting": (
        replace(SOFT, adaptation=Adaptation(Learnable(0.5, "channel", "sigmoid"), Learnable(0.25, "neuron"))),
        "composed",
    ),
}
REFUSED = {
    "reset: rockpool has subtract, not zero": NEURONS["stl"],
    "reset: rockpool has subtract, not none": replace(SOFT, reset="none"),
    "decay.transform: .* identity does not keep it there": replace(SOFT, decay=Learnable(0.5, "layer")),
    "decay.transform: .* tanh does not keep it there": replace(SOFT, decay=Learnable(0.5, "neuron", "tanh")),
    "a decay is above 0": replace(SOFT, decay=Learnable(0.5, jitter=0.1)),
}


@pytest.fixture(scope="module")
def rockpool():
    one = environment("rockpool")
    return lambda function, *arguments: call(one, f"environment_cases:{function}", *arguments)


@needs_rockpool
@pytest.mark.parametrize("name", SPECS)
def test_it_conforms(rockpool, name):
    spec, kind = SPECS[name]
    differing, single, double, route = rockpool("conforms", "rockpool", spec)
    assert (differing, route) == (0, kind)
    assert single < 1e-5
    assert double < 1e-10


@needs_rockpool
@pytest.mark.parametrize("reason", REFUSED)
def test_what_its_neuron_cannot_be_is_refused_in_one_line(rockpool, reason):
    with pytest.raises(Unsupported, match=reason) as error:
        rockpool("conforms", "rockpool", REFUSED[reason])
    assert "\n" not in str(error.value)


@needs_rockpool
def test_layers_are_copied_pickled_and_hold_the_parameters_of_the_spec_alone(rockpool):
    same, empty, keys = rockpool("copies_and_keys", "rockpool", SPECS["with gradient, all learned"][0])
    assert same
    assert empty == [4, 0, 2, 3]
    assert keys == ["raw_threshold", "raw_decay"]


@needs_rockpool
def test_a_decay_of_1_whose_time_constant_is_infinite_gets_its_gradient(rockpool):
    spec = replace(SOFT, decay=Learnable(0.9, "layer", "exp"), detach_reset=False)
    found, wanted = rockpool("gradient_of_a_raw_0", "rockpool", spec)
    assert wanted != 0
    assert found == pytest.approx(wanted, rel=1e-12)


# --- its own neurons ------------------------------------------------------------------------------------------------


def synaptic(x, decay, synapse, most=math.inf):
    v = i = 0.0
    out = []
    for current in x:
        i = synapse * (i + current)
        u = decay * v + i
        out.append(min(max(math.floor(u), 0), most))
        v = u - out[-1]
    return out


def plain(x, decay):
    v, out = 0.0, []
    for current in x:
        u = decay * v + current
        out.append(max(math.floor(u), 0))
        v = u - out[-1]
    return out


def hyperpolarising(x, decay):
    v = i = h = last = 0.0
    out = []
    for current in x:
        i = decay * (i + current)
        h = decay * (h - 0.9 * last)
        u = decay * v + i + h
        last = max(math.floor(u), 0)
        out.append(last)
        v = u - last
    return out


TWENTY_STEPS = math.exp(-1 / 20)
SIMULATED = {
    "lif": lambda x: synaptic(x, math.exp(-0.1), math.exp(-0.2)),
    "lif-learned": lambda x: synaptic(x, math.exp(-0.5), math.exp(-0.5)),
    "lif-defaults": lambda x: synaptic(x, TWENTY_STEPS, TWENTY_STEPS),
    "lif-single-spike": lambda x: synaptic(x, TWENTY_STEPS, TWENTY_STEPS, 1),
    "lif-neuron": lambda x: plain(x, TWENTY_STEPS),
    "lif-bitshift": lambda x: synaptic(x, 1 - 2**-4, 1 - 2**-4, 31),  # 20 steps are nearest to 2 ** 4
    "alif": lambda x: hyperpolarising(x, TWENTY_STEPS),
}
LEARNED = ["bias", "decay", "synaptic_decay", "threshold"]
LEARNS = dict.fromkeys(("lif-learned", "lif-defaults", "lif-single-spike"), LEARNED) | {
    "lif": [],
    "lif-neuron": ["bias", "decay", "threshold"],
    "lif-bitshift": ["bias", "threshold"],
    "alif": sorted([*LEARNED, "adaptation_decay", "adaptation_strength"]),
}


def test_every_neuron_is_simulated_or_says_what_is_missing():
    offered = {name.removeprefix("rockpool:") for name in own_neurons(["rockpool"]) if not NEURONS[name].lacks}
    assert offered == SIMULATED.keys() == LEARNS.keys()
    lacking = {name: NEURONS[name].lacks for name in own_neurons(["rockpool"]) if NEURONS[name].lacks}
    assert "no gradient reaches them" in lacking["rockpool:lif-bitshift-learned-decay"]
    assert "none resets to zero" in lacking["rockpool:lif-zero"]
    assert all(NEURONS[name].source.startswith("https://") for name in own_neurons(["rockpool"]))


@needs_rockpool
@pytest.mark.parametrize("name", SIMULATED)
def test_spikes_are_those_of_a_simulation_by_hand(rockpool, name):
    currents = torch.randn(12, 4, 5, generator=torch.Generator().manual_seed(2)) + 0.5
    spikes = torch.tensor(rockpool("spikes_of", f"rockpool:{name}", currents.tolist()))
    columns = currents.double().flatten(1).T.tolist()
    by_hand = torch.tensor([SIMULATED[name](column) for column in columns]).T.view(12, 4, 5)
    assert torch.equal(spikes, by_hand.float())
    assert 0.1 < (by_hand > 0).float().mean() < 0.95
    assert (by_hand.max() > 1) == (name != "lif-single-spike")


@needs_rockpool
@pytest.mark.parametrize("name", SIMULATED)
def test_own_neurons_learn_and_keep_nothing_between_calls(rockpool, name):
    found = rockpool("own_neuron", f"rockpool:{name}")
    assert found["equal"]
    assert found["whole"]
    assert found["learned"] == LEARNS[name]
    assert all(value > 0 for value in [found["input"], *found["gradients"].values()])
    if "decay" in found["observed"]:
        steps = 2 if name == "lif-learned" else 20
        assert found["observed"]["decay"] == pytest.approx(math.exp(-1 / steps))


@needs_rockpool
@pytest.mark.parametrize(
    ("name", "constant"),
    [(name, "threshold") for name in SIMULATED] + [(name, "decay") for name in SIMULATED if name != "lif-bitshift"],
)
def test_each_neuron_may_have_its_own_constant(rockpool, name, constant):
    changed, kept = rockpool("with_own_constants", f"rockpool:{name}", constant)
    assert changed[0] > 0
    assert changed[1:] == [0, 0]
    assert kept == pytest.approx([1, 1, 1], rel=1e-5)


@needs_rockpool
def test_a_learned_time_constant_in_seconds_is_soon_negative(rockpool):
    assert rockpool("steps_to_a_negative_time_constant", 1e-3) <= 21
    assert rockpool("steps_to_a_negative_time_constant", 1e-2) <= 3


@needs_rockpool
def test_rounded_decays_cannot_be_given(rockpool):
    with pytest.raises(Unsupported, match="decay: LIFBitshiftTorch does not hold one for every neuron"):
        rockpool("with_own_constants", "rockpool:lif-bitshift", "decay")


@needs_rockpool
def test_its_neuron_gives_several_spikes_where_its_documentation_states_one():
    table = call(environment("rockpool"), "spikemark.measures.semantics.stated:stated_table", "rockpool")
    found = {one.name: one.differing for one in table}
    assert found.pop("LIFNeuronTorch()") > 0
    assert set(found.values()) == {0}


# --- networks of users ----------------------------------------------------------------------------------------------


@needs_rockpool
def test_a_users_network_is_measured_and_counts_several_spikes_as_several(rockpool):
    measured_with_several_spikes(rockpool("evaluated_rockpool"), "rockpool", "module.3_LinearTorch")


@needs_rockpool
def test_a_users_network_is_disturbed_where_each_neuron_has_its_constants(rockpool):
    (left_out, noises), (of_layer, _) = rockpool("disturbed_rockpool")
    assert all("none that gives one spike in a step" in reason for reason in left_out.values())
    assert {"weight-mismatch", "threshold-mismatch", "decay-mismatch"} < set(noises)
    assert "LIFTorch does not hold one for every neuron" in of_layer["threshold-mismatch"]


@needs_rockpool
def test_recurrent_weights_are_synapses_and_a_matrix_of_zeros_is_none(rockpool):
    found = rockpool("counted_rockpool")
    assert found["recurrent"]["operations"] == pytest.approx(6 * found["recurrent"]["spikes_before_the_last_step"])
    assert found["zeros"]["operations"] == 0
    assert {name: one["words"] for name, one in found.items()} == {
        "recurrent": [3],
        "zeros": [2],
        "hyperpolarising": [4],
    }
    assert all(one["updates"] == 6 * 8 for one in found.values())


@needs_rockpool
def test_noise_on_spikes_takes_layers_of_one_spike_in_a_step(rockpool):
    several = ("rockpool.nn.modules", "LIFTorch", (3,), {})
    single = ("rockpool.nn.modules", "LIFTorch", (3,), {"max_spikes_per_dt": 1})
    said, found = rockpool("sites_of_noise", several, single)
    assert said.endswith("has none that gives one spike in a step")
    assert found == 1


@needs_rockpool
def test_a_graph_is_refused_since_its_own_importer_fails(rockpool):
    import nir
    import numpy as np

    from spikemark.models.nir import load_nir

    assert "tau_mem" in rockpool("importers_error")
    one = np.ones(2)
    graph = nir.NIRGraph.from_list(nir.LIF(tau=one, r=one, v_leak=0 * one, v_threshold=one))
    with pytest.raises(Unsupported, match=r"importer asks a nir\.LIF for `tau_mem`, which is called `tau`"):
        load_nir(graph, "rockpool")


def test_a_missing_environment_names_the_command_that_builds_it(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(
        MissingEnvironment, match="the environment of rockpool is not built: spikemark env build rockpool"
    ):
        locked_environment("rockpool").require()
