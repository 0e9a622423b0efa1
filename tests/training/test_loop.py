import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from spikemark import SYSTEMS, get_adapter
from spikemark.data.loading import Dataset, Split
from spikemark.networks.build import build_network
from spikemark.training.loop import DivergedError, JobTimeoutError, Watch, accuracy, evaluate, train
from spikemark.training.losses import LOSSES
from spikemark.training.optimisers import make_optimizer
from spikemark.training.rule import Optimizer, Protocol

SHAPE = (4,)
PROTOCOL = Protocol(epochs=25, batch_size=16, encoder="direct", steps=4)


def toy(classes=2, n=96):
    """Two classes told apart by which half of the features is bright."""
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (n,), generator=random)
    inputs = 0.3 * torch.rand(n, 4, generator=random)
    inputs[labels == 0, :2] += 0.7
    inputs[labels == 1, 2:] += 0.7
    split = Split(inputs, labels)
    return Dataset("toy", SHAPE, classes, split, split, split)


def build(system="mlp-stl", seed=0):
    row = SYSTEMS[system]
    return build_network(row.network, get_adapter("reference"), row.spec, SHAPE, 2, seed, options={"hidden": (16,)})


def test_learns_and_keeps_both_states():
    model, events = build(), []
    trained = train(model, SYSTEMS["mlp-stl"].rule, toy(), PROTOCOL, 0, Watch(listener=events.append))
    assert [e["epoch"] for e in events] == list(range(1, 26))
    assert trained.history[-1].loss < trained.history[0].loss
    scores = [epoch.validation_accuracy for epoch in trained.history]
    assert max(scores) > 0.85
    assert trained.best_epoch == scores.index(max(scores)) + 1
    model.load_state_dict(trained.best_state)
    outputs = evaluate(model, toy().validation, PROTOCOL, Watch(), "toy", "validation")
    assert accuracy(outputs, toy().validation.labels) == max(scores)


def test_is_reproducible_and_depends_on_the_seed():
    runs = [train(build(seed=s), SYSTEMS["mlp-stl"].rule, toy(), PROTOCOL, s) for s in (0, 0, 1)]
    assert runs[0].history[-1].loss == runs[1].history[-1].loss
    assert runs[0].fingerprints == runs[1].fingerprints
    assert runs[0].fingerprints["initial_weights"] != runs[2].fingerprints["initial_weights"]
    assert runs[0].fingerprints["batch_order"] != runs[2].fingerprints["batch_order"]


def test_frozen_parameters_do_not_move():
    model = build("mlp-stl-tl")
    before = copy.deepcopy(model.state_dict())
    train(model, SYSTEMS["mlp-stl-tl"].rule, toy(), PROTOCOL, 0)
    after = model.state_dict()
    assert torch.equal(before["hidden1.synapses.weight"], after["hidden1.synapses.weight"])
    assert not torch.equal(before["hidden1.neurons.raw_threshold"], after["hidden1.neurons.raw_threshold"])


def test_a_dead_network_diverges():
    model = build()
    with torch.no_grad():
        for layer in model.spiking_layers():
            layer.raw_threshold.fill_(1e6)
    with pytest.raises(DivergedError, match="dead"):
        train(model, SYSTEMS["mlp-stl"].rule, toy(), PROTOCOL, 0)


class Poisoned:
    """A learner after whose n-th step every value of `tensors(model)` is `value`."""

    def __init__(self, learner, model, at, tensors, value):
        self.learner, self.model, self.left, self.tensors, self.value = learner, model, at, tensors, value

    def __getattr__(self, name):
        return getattr(self.learner, name)

    def learn(self, *batch):
        learned = self.learner.learn(*batch)
        self.left -= 1
        if self.left == 0:
            with torch.no_grad():
                for tensor in self.tensors(self.model):
                    tensor.fill_(self.value)
        return learned


def poison(monkeypatch, model, at, tensors, value):
    """The rule of `mlp-stl`, with a poisoned learner."""
    rule = SYSTEMS["mlp-stl"].rule
    learner = type(rule).learner
    poisoned = lambda self, *about: Poisoned(learner(self, *about), model, at, tensors, value)  # noqa: E731
    monkeypatch.setattr(type(rule), "learner", poisoned)
    return rule


@pytest.mark.parametrize("framework", ["reference", "spikingjelly", "snntorch", "norse"])
@pytest.mark.parametrize(("epochs", "at", "diverges_in"), [(1, 6, 1), (1, 3, 1), (4, 24, 4), (4, 21, 4), (4, 13, 3)])
def test_weights_that_become_nan_diverge_in_that_epoch(monkeypatch, framework, epochs, at, diverges_in):
    """Six steps an epoch. NaN membranes never fire: the loss stays finite, and all samples are of class 0."""
    if framework != "reference":
        pytest.importorskip(framework)
    row = SYSTEMS["mlp-stl"]
    model = build_network(row.network, get_adapter(framework), row.spec, SHAPE, 2, 0, options={"hidden": (16,)})
    rule = poison(monkeypatch, model, at, nn.Module.parameters, float("nan"))
    with pytest.raises(DivergedError, match=f"is not finite in epoch {diverges_in}$"):
        train(model, rule, toy(), replace(PROTOCOL, epochs=epochs), 0)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["hidden1.neurons.raw_threshold", "hidden1.norm.running_var", "output.norm.bias"])
def test_one_tensor_that_is_not_finite_is_named(monkeypatch, name, value):
    model = build()
    rule = poison(monkeypatch, model, 6, lambda model: [model.state_dict()[name]], value)
    with pytest.raises(DivergedError, match=f"{name} is not finite in epoch 1$"):
        train(model, rule, toy(), PROTOCOL, 0)


def test_membranes_that_overflow_diverge_though_every_weight_is_a_number(monkeypatch):
    model = build()
    rule = poison(monkeypatch, model, 6, lambda model: [model.hidden1.synapses.weight], 3e38)
    with pytest.raises(DivergedError, match=r"the current into hidden1\.neurons is not finite in epoch 1$"):
        train(model, rule, toy(), PROTOCOL, 0)


def images():
    """Noise of two brightnesses."""
    labels = torch.arange(48) % 2
    inputs = torch.rand(48, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * (0.5 + labels)[:, None, None, None]
    split = Split(inputs, labels)
    return Dataset("images", (1, 8, 8), 2, split, split, split)


@pytest.mark.parametrize("norm", ["joint-bn", "tebn"])
def test_validation_computes_as_one_what_training_does_and_finds_the_same(monkeypatch, norm):
    pytest.importorskip("llvmlite")
    system, seen = SYSTEMS["convnet-stl"], []

    def trained(framework):
        build = {"options": {"channels": (2,)}, "normalization": norm, "steps": 4}
        model = build_network("convnet", get_adapter(framework), system.spec, (1, 8, 8), 2, 0, **build)
        if framework == "fused":
            form = type(model.conv1.form)
            compute = form.__call__
            counted = lambda self, *a: seen.append(model.training) or compute(self, *a)  # noqa: E731
            monkeypatch.setattr(form, "__call__", counted)
        return train(model, system.rule, images(), replace(PROTOCOL, epochs=2), 0)

    fused, reference = trained("fused"), trained("reference")
    assert seen.count(True) == seen.count(False) == 2 * 3  # epochs, batches
    assert [e.validation_accuracy for e in fused.history] == [e.validation_accuracy for e in reference.history]


@pytest.mark.parametrize(("value", "fine"), [(1e30, True), (3e38, False), (float("inf"), None), (float("nan"), None)])
def test_currents_that_overflow_in_a_stage_computed_as_one_are_found(monkeypatch, value, fine):
    pytest.importorskip("llvmlite")
    system = SYSTEMS["convnet-stl"]
    model = build_network("convnet", get_adapter("fused"), system.spec, (1, 8, 8), 2, 0, options={"channels": (2,)})
    rule = poison(monkeypatch, model, 3, lambda model: [model.conv1.synapses.weight], value)
    found = {True: None, False: "the current into conv1.neurons", None: "conv1.synapses.weight"}[fine]
    if found is None:
        train(model, rule, images(), replace(PROTOCOL, epochs=1), 0)
    else:
        with pytest.raises(DivergedError, match=rf"^{found} is not finite in epoch 1$"):
            train(model, rule, images(), replace(PROTOCOL, epochs=1), 0)


def test_the_loss_of_an_epoch_is_that_of_the_samples_learnt_from(monkeypatch):
    """A last batch of one sample is left out: batch norm needs two."""
    rule = SYSTEMS["mlp-stl"].rule
    seen = []
    make = type(rule).learner

    def learner(self, *arguments):
        made = make(self, *arguments)
        learn = made.learn

        def watched(inputs, labels):
            loss, outputs = learn(inputs, labels)
            seen.extend([loss.item()] * len(labels))
            return loss, outputs

        made.learn = watched
        return made

    monkeypatch.setattr(type(rule), "learner", learner)
    trained = train(build(), rule, toy(n=33), replace(PROTOCOL, epochs=1), 0)
    assert len(seen) == 32
    assert trained.history[0].loss == pytest.approx(sum(seen) / 32, rel=1e-6)


def test_time_is_up():
    with pytest.raises(JobTimeoutError, match="not finished within"):
        train(build(), SYSTEMS["mlp-stl"].rule, toy(), PROTOCOL, 0, Watch(seconds=-1.0))


def test_losses_by_hand():
    rates, labels = torch.tensor([[0.5, 0.0], [0.25, 1.0]]), torch.tensor([0, 1])
    assert LOSSES["mse-rate"](rates, labels).item() == pytest.approx((0.25 + 0 + 0.0625 + 0) / 4)
    expected = -torch.log_softmax(rates, 1)[[0, 1], labels].mean()
    assert LOSSES["cross-entropy-rate"](rates, labels).item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("schedule", "expected"), [("constant", 1e-3), ("cosine", 5e-4), ("exponential", 1e-3 * 0.93**2)]
)
def test_schedules_after_half_of_four_epochs(schedule, expected):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer, steps = make_optimizer(Optimizer(schedule=schedule), [parameter], 4)
    for _ in range(2):
        optimizer.step()
        steps.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_optimisers_step_bit_for_bit_as_torch_does(kind):
    ours, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 7)) for _ in range(2))
    options = Optimizer(name=kind.__name__.lower(), learning_rate=0.03, weight_decay=0.1, schedule="constant")
    made, schedule = make_optimizer(options, [{"params": [ours], "lr": 0.2}], 3)
    momentum = {"momentum": options.momentum} if kind is torch.optim.SGD else {}
    expected = kind([{"params": [theirs], "lr": 0.2}], lr=0.03, weight_decay=0.1, **momentum)
    falling = torch.optim.lr_scheduler.ConstantLR(expected, factor=1.0)
    for parameter, optimizer, steps in ((ours, made, schedule), (theirs, expected, falling)):
        for _ in range(3):
            optimizer.zero_grad()
            (parameter**3).sum().backward()
            optimizer.step()
            steps.step()
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, torch.linspace(-1, 1, 7))
    assert torch.is_grad_enabled()


def test_sgd_is_there_too():
    optimizer, _ = make_optimizer(Optimizer(name="sgd", learning_rate=0.1), [torch.nn.Parameter(torch.zeros(1))], 1)
    assert isinstance(optimizer, torch.optim.SGD)
