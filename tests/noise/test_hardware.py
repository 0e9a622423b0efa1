import pytest
import torch
from torch import nn

from spikemark.core.adapter import SpikingLayer, Unsupported
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS, FrameworkNeuron, NeuronSpec
from spikemark.core.oracle import ReferenceAdapter
from spikemark.core.streams import generator
from spikemark.data.encoders import encode
from spikemark.errors import InputError
from spikemark.networks.build import build_network
from spikemark.noise import hardware
from spikemark.noise.case import NOISES, Case

WEIGHTS = torch.linspace(-1, 1, 20_001)
SPECS = sorted(name for name, neuron in NEURONS.items() if isinstance(neuron, NeuronSpec))


def test_weight_mismatch_is_relative():
    ratio = hardware.weight_mismatch(WEIGHTS, 0.3, generator("a"))[WEIGHTS != 0] / WEIGHTS[WEIGHTS != 0]
    assert ratio.mean().item() == pytest.approx(1, abs=0.01)
    assert ratio.std().item() == pytest.approx(0.3, rel=0.03)


def test_stuck_synapses_fraction():
    assert (hardware.stuck_synapses(WEIGHTS + 2, 0.4, generator("a")) == 0).float().mean() == pytest.approx(
        0.4, abs=0.02
    )


@pytest.mark.parametrize(("bits", "values"), [(2, 3), (3, 7), (4, 15), (8, 255)])
def test_quantisation_has_symmetric_values_and_small_errors(bits, values):
    out = hardware.quantisation(WEIGHTS, bits, generator("a"))
    levels = out.unique()
    assert len(levels) == values
    torch.testing.assert_close(levels, -levels.flip(0))
    assert (out - WEIGHTS).abs().max() <= 0.5 / (2 ** (bits - 1) - 1) + 1e-6
    assert torch.equal(hardware.quantisation(torch.zeros(4), bits, generator("a")), torch.zeros(4))


def test_bit_flips_by_hand():
    # Without flips only the rounding to 8 bits is left; with all flipped, code c becomes its complement -c - 1.
    weights = torch.tensor([1.0, -1.0, 0.0, 64 / 127])
    codes = torch.tensor([127, -127, 0, 64])
    assert (hardware.bit_flips(weights, 0.0, generator("a")) * 127).round().tolist() == codes.tolist()
    assert (hardware.bit_flips(weights, 1.0, generator("a")) * 127).round().tolist() == (-codes - 1).tolist()


def test_bit_flips_rate():
    codes = (WEIGHTS * 127).round().long() % 256
    out = (hardware.bit_flips(WEIGHTS, 0.05, generator("a")) * 127).round().long() % 256
    flipped = sum(((codes ^ out) >> bit) & 1 for bit in range(8)).sum().item()
    assert flipped / (8 * len(WEIGHTS)) == pytest.approx(0.05, abs=0.005)


def make_case(neuron, adapter="reference"):
    adapter = get_adapter(adapter)
    model = build_network("mlp", adapter, NEURONS[neuron], (1, 8, 8), 3, 0, options={"hidden": (400,)})
    inputs = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    # Statistics of batch norm from the samples and a wide scale, so that many neurons fire in evaluation mode.
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.constant_(module.weight, 3.0)
    for _ in range(30):
        model(inputs.expand(8, *inputs.shape))
    return Case(model.eval(), inputs, torch.arange(6) % 3, lambda x, g: encode("direct", x, 8, g), adapter)


def spikes_of(case):
    """Output of the first spiking layer, [T, B, 400]."""
    seen = []
    layer = case.model.spiking_layers()[0]
    handle = layer.register_forward_hook(lambda module, arguments, output: seen.append(output))
    with torch.no_grad():
        case.model(case.encode_step(case.inputs, generator("e")))
    handle.remove()
    return seen[0]


def test_dead_and_firing_neurons_are_the_named_fraction_and_always_the_same():
    case = make_case("lif")
    for name, output in (("dead-neurons", 0.0), ("firing-neurons", 1.0)):
        with NOISES[name].apply(case, 5, generator("a")) as disturbed:
            stuck = (spikes_of(disturbed) == output).all(0).all(0)
            assert torch.equal(stuck, (spikes_of(disturbed) == output).all(0).all(0))
        expected = NOISES[name].levels[-1]
        healthy = (spikes_of(case) == output).all(0).all(0)
        assert (stuck & ~healthy).sum() / (~healthy).sum() == pytest.approx(expected, abs=0.06)
        assert (stuck >= healthy).all()


@pytest.mark.parametrize("neuron", SPECS)
@pytest.mark.parametrize("parameter", ["threshold", "decay"])
def test_neuron_mismatch_spreads_one_parameter_and_keeps_the_other(neuron, parameter):
    case = make_case(neuron)
    other = "decay" if parameter == "threshold" else "threshold"
    with hardware.neuron_mismatch(case, 0.2, generator("a"), parameter=parameter) as disturbed:
        pairs = zip(case.model.spiking_layers(), disturbed.model.spiking_layers(), strict=True)
        for before, after in pairs:
            ratio = getattr(after, parameter) / getattr(before, parameter)
            assert ratio.shape == after.shape
            if getattr(before, parameter).max() < 0.9 or parameter == "threshold":  # not cut off at a decay of 1
                assert ratio.std().item() == pytest.approx(0.2, rel=0.3)
            assert getattr(after, parameter).min() >= 0
            assert torch.equal(getattr(after, other), getattr(before, other))
            assert after.spec.reset == before.spec.reset


@pytest.mark.parametrize("neuron", SPECS)
def test_neurons_built_anew_without_mismatch_give_the_same_spikes(neuron):
    case = make_case(neuron)
    for parameter in ("threshold", "decay"):
        with hardware.neuron_mismatch(case, 0.0, generator("a"), parameter=parameter) as disturbed:
            assert torch.equal(spikes_of(disturbed), spikes_of(case))


def test_networks_without_the_disturbed_part_are_refused():
    empty = Case(nn.Identity(), torch.rand(2, 3), torch.zeros(2), lambda x, g: x[None])
    with pytest.raises(InputError, match="the Identity has no linear or convolution"):
        NOISES["bit-flips"].apply(empty, 1, generator("a"))
    with (
        pytest.raises(InputError, match="the Identity has none"),
        NOISES["dead-neurons"].apply(empty, 1, generator("a")),
    ):
        pass
    with (
        pytest.raises(InputError, match="needs to know their framework"),
        NOISES["decay-mismatch"].apply(empty, 1, generator("a")),
    ):
        pass


class Halves(nn.Module):
    """Neurons that no spec describes."""

    def forward(self, currents):
        return (currents > 0.5).to(currents.dtype)


def test_noise_on_spikes_and_neurons_reaches_neurons_without_a_spec_but_mismatch_does_not():
    neuron = FrameworkNeuron("torch", lambda shape, generator=None: Halves())
    adapter = get_adapter("reference")
    model = build_network("mlp", adapter, neuron, (1, 8, 8), 3, 0, options={"hidden": (50,)}).eval()
    inputs = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    case = Case(model, inputs, torch.arange(6) % 3, lambda x, g: encode("direct", x, 8, g), adapter)
    for name in ("spike-insertion", "firing-neurons"):
        with NOISES[name].apply(case, 5, generator("a")) as disturbed:
            assert (spikes_of(disturbed) > spikes_of(case)).any()
    for name in ("threshold-mismatch", "decay-mismatch"):
        with (
            pytest.raises(Unsupported, match="nothing says where"),
            NOISES[name].apply(case, 1, generator("a")),
        ):
            pass


@pytest.mark.parametrize("name", ["snntorch:leaky-learned", "spikingjelly:plif", "norse:lif-box"])
@pytest.mark.parametrize("parameter", ["threshold", "decay"])
def test_mismatch_spreads_the_constants_of_a_frameworks_own_neurons_in_a_copy(name, parameter):
    case = make_case(name)
    other = "decay" if parameter == "threshold" else "threshold"
    clean = spikes_of(case)
    with hardware.neuron_mismatch(case, 0.0, generator("a"), parameter=parameter) as same:
        assert torch.equal(spikes_of(same), clean)
    with hardware.neuron_mismatch(case, 0.2, generator("a"), parameter=parameter) as disturbed:
        assert not torch.equal(spikes_of(disturbed), clean)
        for before, after in zip(case.model.spiking_layers(), disturbed.model.spiking_layers(), strict=True):
            ratio = after.each(parameter) / before.each(parameter)
            assert ratio.shape == after.shape
            if parameter == "threshold":  # decays are cut off at 1
                assert ratio.std().item() == pytest.approx(0.2, rel=0.3)
            assert after.each(parameter).min() >= 0
            assert torch.equal(after.each(other), before.each(other))
    assert torch.equal(spikes_of(case), clean)


def test_mismatch_of_a_class_with_one_threshold_for_all_neurons_is_not_supported():
    case = make_case("spikingjelly:clif")
    with (
        pytest.raises(Unsupported, match="ComplementaryLIFNode does not hold one for every neuron"),
        NOISES["threshold-mismatch"].apply(case, 1, generator("a")),
    ):
        pass


class Heedless(SpikingLayer):
    """A layer of a framework that ignores the spec, and holds a gain of its own."""

    gained = False

    def __init__(self, spec, shape, *, generator=None):
        super().__init__(spec, shape, generator=generator)
        if self.gained:
            self.gain = nn.Parameter(torch.ones(()))

    def spikes(self, currents):
        return (currents > (self.gain * self.threshold if self.gained else 0.5)).to(currents.dtype)


class Gained(Heedless):
    gained = True


class OneClass(ReferenceAdapter):
    """Its layers are of one class, whatever is asked for."""

    name = "one-class"

    def __init__(self, layer):
        self.layer = layer

    def neuron(self, spec, shape, *, generator=None):
        return self.layer(spec, shape, generator=generator)


def one_layer(kind):
    layer = kind(NEURONS["lif"], (40,))
    return Case(nn.Sequential(layer).eval(), torch.rand(3, 40), torch.zeros(3), lambda x, g: x[None], OneClass(kind))


@pytest.mark.parametrize("parameter", ["threshold", "decay"])
def test_neurons_that_ignore_what_is_disturbed_are_refused_and_not_called_immune(parameter):
    case = one_layer(Heedless)
    with (
        pytest.raises(Unsupported, match=f"Heedless ignores the {parameter} that it is given"),
        NOISES[f"{parameter}-mismatch"].apply(case, 5, generator("a")),
    ):
        pass


def test_further_trained_values_of_neurons_come_along():
    case = one_layer(Gained)
    with torch.no_grad():
        case.model[0].gain.fill_(0.25)
    with NOISES["threshold-mismatch"].apply(case, 1, generator("a")) as disturbed:
        assert disturbed.model[0].gain.item() == 0.25
    with hardware.neuron_mismatch(case, 0.0, generator("a"), parameter="threshold") as disturbed:
        currents = torch.rand(2, 3, 40)
        assert torch.equal(disturbed.model(currents), case.model(currents))
