"""The network: its exact form, its clocked twin, its counts, and learning from data."""

from dataclasses import replace

import pytest
import torch
from slow_first_spike import integrate
from torch import Tensor

from installed import INSTALLED
from spikemark import count_operations
from spikemark.core.frameworks import MissingFramework, get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.data.card import Sizes
from spikemark.data.loading import load_dataset
from spikemark.errors import InputError
from spikemark.methods.first_spike.events import first_spikes, quantised
from spikemark.methods.first_spike.network import FirstSpikeNetwork, first_spike
from spikemark.methods.first_spike.options import FirstSpike
from spikemark.methods.first_spike.rule import FirstSpikeLearner
from spikemark.methods.first_spike.systems import SYSTEMS
from spikemark.training.rule import Protocol

SHAPE, CLASSES = (1, 8, 8), 3
SMALL = {"filters": 8, "size": 3, "pool": 2, "epochs": 2, "threshold": 1.0, "floor": 0.5}
PROTOCOL = Protocol(1, 8, "direct", 1)
NCG = {
    "rule": "s2-stdp",
    "causal": 0.1,
    "other": -0.05,
    "gap": 0.05,
    "winner_take_all": True,
    "non_target": 1,
    "normalised": True,
    "regulation": "cr-2",
    "threshold_rate": 0.5,
}


def network(adapter: str = "reference", shape=SHAPE, classes=CLASSES, **options) -> FirstSpikeNetwork:
    try:
        found = get_adapter(adapter)
    except MissingFramework as error:
        pytest.skip(str(error))
    settings = {"threshold": 2.0, "neurons_per_class": 2, "extractor": SMALL} | options
    torch.manual_seed(0)
    return first_spike(shape, classes, lambda shape: found.neuron(NEURONS["if"], shape), None, **settings)


def ncg(**options) -> FirstSpike:
    return FirstSpike(**(NCG | options))


def images(count: int = 6, seed: int = 0) -> Tensor:
    return torch.rand((count, *SHAPE), generator=torch.Generator().manual_seed(seed))


def test_prediction_is_the_class_of_the_earliest_neuron():
    model = network(deviation=0.2)
    features = model.extractor(images())
    scores = model(images().unsqueeze(0))
    assert scores.shape == (1, 6, CLASSES)
    for row, score in zip(features, scores[0], strict=True):
        spikes, potentials = integrate(row.tolist(), model.synapses.weight.tolist(), [2.0] * 6)
        best = min(range(6), key=lambda j: (spikes[j], -potentials[j]))
        assert score.argmax() == best // 2
        assert score.max() == pytest.approx(1 - spikes[best], abs=1e-5)


def test_silent_network_decides_by_potential():
    model = network(threshold=1e6, deviation=0.2)
    _, potentials = model.output_spikes(model.extractor(images()))
    assert torch.equal(model(images().unsqueeze(0))[0].argmax(1), potentials.argmax(1) // 2)


@pytest.mark.parametrize("adapter", INSTALLED)
def test_clocked_twin_is_the_event_form_of_quantised_times(adapter):
    model = network(adapter, form="clocked", steps=16, deviation=0.2)
    features = model.extractor(images())
    features = (features * 64).round() / 64
    with torch.no_grad():  # sums without rounding, whatever the order
        model.synapses.weight.copy_((model.synapses.weight * 64).round() / 64)
    spikes, potentials = model.output_spikes(features)
    exact = first_spikes(quantised(features, 16), model.synapses.weight, model.neurons.threshold)
    assert torch.equal(spikes, exact[0])
    assert torch.equal(potentials, exact[1])
    assert (spikes < 1).any()


def test_frameworks_get_the_clock_and_the_oracle_does_not():
    assert not network().clocked
    assert network(form="clocked").clocked
    assert network("norse").clocked
    assert not network("norse", form="event").clocked


def brute_force(model: FirstSpikeNetwork, batch: Tensor) -> tuple[int, int, int, int, int]:
    """Additions and updates of the filters and of the outputs, and spikes of the outputs, one pair at a time."""
    times, features = model.extractor.encode(batch), model.extractor(batch)
    weights, filters = model.synapses.weight, model.extractor.filters.weight
    pairs = updates = adds = output_updates = fired = 0
    for image, row in zip(times, features, strict=True):
        if model.clocked:
            row, image = quantised(row, model.steps), quantised(image, model.steps)
        spikes, _ = integrate(row.tolist(), weights.tolist(), model.neurons.threshold.tolist())
        end = min(spikes)
        fired += sum(spike == end < 1 for spike in spikes)
        moments = set()
        for i, t in enumerate(row.tolist()):
            if t <= end and t < 1:
                adds += int((weights[:, i] != 0).sum())
                moments.add(t)
        clock = (round(end * model.steps) + 1 if end < 1 else model.steps) if model.clocked else len(moments)
        output_updates += len(weights) * clock
        for y in range(6):
            for x in range(6):
                patch = image[:, y : y + 3, x : x + 3]
                counted = (patch <= end) & (patch < 1)
                pairs += int((filters[:, counted] != 0).sum())
                distinct = times[0].new_tensor([]) if not counted.any() else patch[counted].unique()
                updates += len(distinct) * len(filters)
    return pairs, updates, adds, output_updates, fired


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("threshold", [2.0, 6.0, 1e6])
def test_counts_against_brute_force(seed, threshold):
    model = network(threshold=threshold, deviation=0.3)
    with torch.no_grad():
        model.extractor.filters.weight[0, :, 1] = 0
    batch = (images(3, seed) * 8).round() / 8
    count = count_operations(model, batch.unsqueeze(0))
    contrast, filters, synapses = count.layers
    pairs, updates, adds, output_updates, fired = brute_force(model, batch)
    assert (filters.acs * 3, synapses.acs * 3) == pytest.approx((pairs, adds))
    assert count.spiking[0].neuron_updates * 3 == pytest.approx(updates)
    assert count.spiking[1].neuron_updates * 3 == pytest.approx(output_updates)
    assert count.spiking[1].firing_rate * output_updates == pytest.approx(fired)
    taps = sum(
        int((batch[:, 0, max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] != 0).sum()) for y in range(8) for x in range(8)
    )
    assert contrast.macs * 3 == pytest.approx(taps)
    assert count.macs == contrast.macs


@pytest.mark.parametrize("seed", range(4))
def test_counts_of_the_clocked_form(seed):
    model = network(form="clocked", steps=8, deviation=0.3)
    batch = images(3, seed)
    count = count_operations(model, batch.unsqueeze(0))
    pairs, _, adds, output_updates, fired = brute_force(model, batch)
    assert (count.layers[1].acs * 3, count.layers[2].acs * 3) == pytest.approx((pairs, adds))
    assert count.spiking[1].neuron_updates * 3 == pytest.approx(output_updates)
    assert count.spiking[1].firing_rate * output_updates == pytest.approx(fired)


def test_counting_changes_nothing():
    model = network().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    count_operations(model, images().unsqueeze(0))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def trained(rule: FirstSpike, epochs: int = 2, **options) -> tuple[FirstSpikeNetwork, FirstSpikeLearner]:
    model = network(**options)
    learner = FirstSpikeLearner(model, rule, PROTOCOL, 0)
    learner.begin(images(30))
    labels = torch.arange(30) % CLASSES
    for _ in range(epochs):
        for part in torch.arange(30).split(8):
            learner.learn(images(30)[part].unsqueeze(0), labels[part])
        learner.end_epoch()
    return model, learner


def test_batches_do_not_matter_to_learning():
    models = []
    for size in (1, 30):
        model = network()
        learner = FirstSpikeLearner(model, ncg(dropout=0.2), PROTOCOL, 0)
        learner.begin(images(30))
        for part in torch.arange(30).split(size):
            learner.learn(images(30)[part].unsqueeze(0), part % CLASSES)
        models.append(model.synapses.weight)
    assert torch.equal(*models)


def test_thresholds_of_tests_move_only_with_one_threshold_a_neuron():
    fixed, _ = trained(ncg(non_target=0))
    assert (fixed.neurons.threshold == 2).all()
    moved, _ = trained(ncg(non_target=0, regulation="cr-1", threshold_rate=0.01))
    assert (moved.neurons.threshold != 2).any()
    assert moved.neurons.threshold.mean() == pytest.approx(2, abs=1e-5)


def test_rates_are_annealed():
    _, learner = trained(ncg(annealing=0.5, threshold_annealing=0.1), epochs=3)
    assert learner._decay == 0.125
    assert learner._threshold_rate == pytest.approx(0.5 * 1e-3)


def test_normalised_weights_keep_their_sums():
    model = network()
    before = model.synapses.weight.sum(1)
    model, _ = trained(ncg())
    torch.testing.assert_close(model.synapses.weight.sum(1), before)


def test_frames_of_events_reach_the_extractor_as_one_step():
    frames = torch.stack([images(12), images(12, seed=1)], dim=1)  # [N, T, C, H, W]
    plain, framed = network(), network()
    FirstSpikeLearner(plain, ncg(), PROTOCOL, 0).begin(images(12))
    FirstSpikeLearner(framed, ncg(), replace(PROTOCOL, encoder="frames"), 0).begin(frames[:, :1])
    assert torch.equal(plain.extractor.filters.weight, framed.extractor.filters.weight)
    with pytest.raises(InputError, match="steps: 2 steps"):
        FirstSpikeLearner(network(), ncg(), replace(PROTOCOL, encoder="frames", steps=2), 0).begin(frames)


def test_learns_digits():
    dataset = load_dataset("digits", sizes=Sizes(train=400, validation=50, test=300))
    extractor = {"filters": 32, "size": 3, "pool": 2, "epochs": 5, "threshold": 3.0, "floor": 1.0}
    model = network(
        shape=dataset.shape, classes=10, threshold=8.0, neurons_per_class=3, extractor=extractor, deviation=0.01
    )
    learner = FirstSpikeLearner(model, ncg(threshold_rate=1.0, threshold_annealing=0.5), PROTOCOL, 0)
    learner.begin(dataset.train.inputs)
    for _ in range(6):
        learner.learn(dataset.train.inputs.unsqueeze(0), dataset.train.labels)
        learner.end_epoch()
    scores = model(dataset.test.inputs.unsqueeze(0))[0]
    assert (scores.argmax(1) == dataset.test.labels).float().mean() > 0.7


@pytest.mark.parametrize("label", [-1, CLASSES])
def test_labels_outside_the_classes_are_refused(label):
    learner = FirstSpikeLearner(network(), ncg(), PROTOCOL, 0)
    with pytest.raises(InputError, match="labels"):
        learner.learn(images(1).unsqueeze(0), torch.tensor([label]))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"form": "clock"}, "form"),
        ({"steps": 0}, "steps"),
        ({"neurons_per_class": 0}, "neurons_per_class"),
        ({"threshold": 0.0}, "threshold"),
        ({"low": 1.0, "high": 0.5}, "low"),
        ({"extractor": {"filter": 3}}, "filter"),
        ({"extractor": {"filters": 1}}, "extractor.filters"),
        ({"extractor": {"goal": 2.0}}, "extractor.goal"),
    ],
)
def test_wrong_options_are_named(options, field):
    with pytest.raises(InputError, match=field):
        network(**options)


def test_neurons_that_leak_or_share_a_threshold_are_refused():
    for spec in (NEURONS["lif"], replace(NEURONS["if"], threshold=replace(NEURONS["if"].threshold, scope="layer"))):
        with pytest.raises(InputError, match="neuron"):
            first_spike(
                SHAPE, CLASSES, lambda shape, s=spec: get_adapter("reference").neuron(s, shape), None, threshold=2
            )


def test_event_form_refuses_what_it_cannot_compute():
    model = network()
    with pytest.raises(InputError, match="steps"):
        model(images().expand(2, -1, -1, -1, -1))
    handle = model.neurons.register_forward_hook(lambda *args: None)
    with pytest.raises(InputError, match="noise"):
        model(images().unsqueeze(0))
    handle.remove()
    model.neurons.raw_decay.fill_(0.5)
    with pytest.raises(InputError, match="decay"):
        model(images().unsqueeze(0))


def test_other_networks_are_refused():
    with pytest.raises(InputError, match="network"):
        FirstSpikeLearner(torch.nn.Linear(1, 1), ncg(), PROTOCOL, 0)


@pytest.mark.parametrize("name", SYSTEMS)
def test_published_systems_can_be_built(name):
    row = SYSTEMS[name]
    model = network(shape=(1, 28, 28), classes=10, **row.options)
    assert model.synapses.in_features == 4608
    assert FirstSpikeLearner(model, row.rule, PROTOCOL, 0).rule.annealing == 0.98
