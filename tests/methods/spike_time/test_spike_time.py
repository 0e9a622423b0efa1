import pytest
import torch
from torch.nn import functional as F

from spikemark import SYSTEMS, get_adapter
from spikemark.data.loading import Dataset, Split
from spikemark.errors import InputError
from spikemark.methods.spike_time.first_thresholds import set_first_thresholds
from spikemark.methods.spike_time.losses import TIME_LOSSES, Targets, count, count_plus, count_zero, kernel, tet, ttfs
from spikemark.methods.spike_time.options import SpikeTime
from spikemark.networks.build import build_network
from spikemark.training.loop import train
from spikemark.training.rule import Optimizer, Protocol, Rule

SHAPE, T, B, C = (1, 10, 10), 6, 7, 4
TARGETS = Targets(desired=4, undesired=1, tau_s=3.0)
PROTOCOL = Protocol(epochs=3, batch_size=10, encoder="direct", steps=5)


def outputs(seed=0, rate=0.4):
    random = torch.Generator().manual_seed(seed)
    spikes = (torch.rand(T, B, C, generator=random) < rate).double()
    return spikes, torch.randint(C, (B,), generator=random)


def slow_excess(spikes, labels):
    """Clipped counts less their targets, and kappa, by loops."""
    clipped, wanted = {}, {}
    for b in range(B):
        for i in range(C):
            n = float(spikes[:, b, i].sum())
            label = i == int(labels[b])
            wanted[b, i] = TARGETS.desired if label else TARGETS.undesired
            clipped[b, i] = min(n, wanted[b, i]) if label else max(n, wanted[b, i])
    labelled = sum(n for (b, i), n in clipped.items() if i == int(labels[b]))
    ratio = (sum(clipped.values()) - labelled) / labelled
    kappa = {(b, i): max(ratio / 10, 1) if i == int(labels[b]) else 1.0 for b, i in clipped}
    return {key: clipped[key] - wanted[key] for key in clipped}, kappa


@pytest.mark.parametrize("seed", range(5))
def test_sums_of_the_counting_gradients(seed):
    """A neuron's n spikes get ``n (target - n) / T`` in all from count, and ``(target - n) / T`` from count+."""
    spikes, labels = outputs(seed)
    excess, kappa = slow_excess(spikes, labels)
    value, plain = count(spikes, labels, TARGETS)
    _, enhanced = count_plus(spikes, labels, TARGETS)
    assert value.item() == pytest.approx(sum(e**2 for e in excess.values()) / (2 * T))
    for (b, i), e in excess.items():
        n = spikes[:, b, i].sum().item()
        push = -kappa[b, i] * e / T
        assert plain[:, b, i].sum().item() == pytest.approx(n * push)
        assert enhanced[:, b, i].sum().item() == pytest.approx(push if n else 0.0)
    assert enhanced.abs().sum() < plain.abs().sum()


def test_label_gets_more_weight_when_others_fire_far_more():
    spikes = torch.zeros(T, 1, 30).double()
    spikes[:, 0, 1:] = 1
    spikes[0, 0, 0] = 1
    _, gradient = count_plus(spikes, torch.tensor([0]), TARGETS)
    assert gradient[0, 0, 0].item() == pytest.approx(29 * T / 10 * 3 / T)


def test_count_zero_has_no_overall_push():
    spikes, labels = outputs()
    _, gradient = count_zero(spikes, labels, TARGETS)
    assert abs(gradient.sum().item()) < 1e-12
    assert gradient.abs().sum() > 0.1


def test_losses_on_spikes_become_losses_on_times_by_a_change_of_sign():
    spikes, labels = outputs()
    soft = spikes.clone().requires_grad_()
    F.cross_entropy(soft.flatten(0, 1), labels.repeat(T), reduction="sum").backward()
    assert torch.allclose(tet(spikes, labels, TARGETS)[1], -soft.grad * spikes)

    soft = spikes.clone().requires_grad_()
    target = torch.zeros(T, B, C).double()
    target[1:, torch.arange(B), labels] = 1
    trace, loss = torch.zeros(B, C).double(), 0.0
    for difference in soft - target:
        trace = trace * (1 - 1 / 3) + difference
        loss = loss + (trace / 3).square().sum() / 2
    loss.backward()
    value, gradient = kernel(spikes, labels, TARGETS)
    assert value.item() == pytest.approx(loss.item())
    assert torch.allclose(gradient, -soft.grad * spikes)


def test_time_to_first_spike_moves_first_spikes_alone():
    spikes, labels = outputs(rate=0.3)
    value, gradient = ttfs(spikes, labels, TARGETS)
    first = torch.where(spikes.sum(0) > 0, spikes.argmax(0).double(), torch.nan).requires_grad_()
    logits = torch.where(first.isnan(), -3.0, 1 - first / T)
    loss = T * F.cross_entropy(logits, labels, reduction="sum")
    loss.backward()
    assert value.item() == pytest.approx(loss.item())
    for b in range(B):
        for i in range(C):
            moved = gradient[:, b, i].nonzero().flatten().tolist()
            assert moved == ([] if first[b, i].isnan() else [int(first[b, i])])
            if moved:
                assert gradient[moved[0], b, i].item() == pytest.approx(first.grad[b, i].item())


@pytest.mark.parametrize("loss", TIME_LOSSES)
def test_every_loss_moves_the_label_earlier_and_silence_nowhere(loss):
    spikes, labels = outputs()
    spikes[:, torch.arange(B), labels] = 0
    spikes[3, torch.arange(B), labels] = 1
    _, gradient = TIME_LOSSES[loss](spikes, labels, TARGETS)
    assert (gradient[spikes == 0] == 0).all()
    if loss != "count0":
        assert (gradient[3, torch.arange(B), labels] > 0).all()


def model_of(system="time-count+", seed=0):
    row = SYSTEMS[system]
    options = {"layers": "6C3-AP2-FC20-FC1K"}
    return build_network(
        row.network,
        get_adapter("reference"),
        row.resolved_neuron,
        SHAPE,
        4,
        seed,
        normalization=row.normalization,
        options=options,
    )


def test_first_thresholds_give_the_rate_asked_for():
    model, x = model_of(), torch.rand(9, 40, *SHAPE, generator=torch.Generator().manual_seed(0))
    set_first_thresholds(model, x, 0.8)
    for stage in model.stages():
        spikes = stage.neurons(stage.currents(x))
        assert spikes[-3:].mean().item() * 9 == pytest.approx(0.8, rel=0.05)
        x = stage.pooled(spikes)


def toy():
    """Four classes told apart by the bright quarter of the image."""
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (120,), generator=random)
    images = 0.3 * torch.rand(120, *SHAPE, generator=random)
    for k, (row, column) in enumerate(((0, 0), (0, 5), (5, 0), (5, 5))):
        images[labels == k, :, row : row + 5, column : column + 5] += 0.7
    split = Split(images, labels)
    return Dataset("toy", SHAPE, 4, split, split, split)


@pytest.mark.parametrize("system", ["time-count+", "time-count", "time-nonorm", "time-TTFS"])
def test_it_learns(system):
    model = model_of(system)
    trained = train(model, SYSTEMS[system].rule, toy(), PROTOCOL, 0)
    assert trained.history[-1].loss < trained.history[0].loss
    assert max(epoch.validation_accuracy for epoch in trained.history) > 0.6


def test_transfer_keeps_gains_at_one_and_moves_thresholds():
    states = {}
    for system in ("time-count+", "time-nonorm"):
        model = model_of(system)
        learner = SYSTEMS[system].rule.learner(model, PROTOCOL, 0)
        data = toy()
        learner.begin(data.train.inputs)
        first = model.output.neurons.thresholds.clone()
        for _ in range(3):
            learner.learn(data.train.inputs[:20].expand(5, 20, *SHAPE), data.train.labels[:20])
        learner.end_epoch()
        states[system] = model.output.synapses.gamma.eq(1).all(), torch.equal(model.output.neurons.thresholds, first)
    assert states == {"time-count+": (True, False), "time-nonorm": (False, True)}


def test_what_it_cannot_train_is_refused():
    model = build_network("mlp", get_adapter("reference"), SYSTEMS["mlp-lif"].spec, (4,), 2, 0)
    with pytest.raises(InputError, match="not SpikingNetwork"):
        SpikeTime().learner(model, PROTOCOL, 0)
    for options, message in (
        ({"desird": 1}, r"^rule spike-time: desird: .*did you mean 'desired'"),
        ({"desired": "five"}, r"^rule spike-time: desired: .*valid number, found 'five'$"),
        ({"loss": "counts"}, r"^rule spike-time: loss: 'counts' is not one of"),
        ({"optimizer": {"schedule": "exponential"}}, r"^rule spike-time: optimizer\.schedule: "),
        ({"optimizer": {"threshold_weight_decay": 0.1}}, r"^rule spike-time: optimizer\.threshold_weight_decay: "),
    ):
        with pytest.raises(InputError, match=message):
            Rule.from_dict({"name": "spike-time", **options})


def test_optimisers_are_those_that_the_options_name():
    adamw = SYSTEMS["time-count"].rule.learner(model_of(), PROTOCOL, 0).optimizer
    assert isinstance(adamw, torch.optim.AdamW)
    assert [group["weight_decay"] for group in adamw.param_groups] == [0.05, 0.001]
    sgd = SpikeTime(optimizer=Optimizer(name="sgd", momentum=0.0)).learner(model_of(), PROTOCOL, 0).optimizer
    assert [group["momentum"] for group in sgd.param_groups] == [0.0, 0.0]
    assert SYSTEMS["time-cifar10"].rule.optimizer.momentum == 0.0  # published without
