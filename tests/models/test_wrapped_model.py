"""Models that a function builds: layouts, forms of output, named draws, and what is refused."""

import pytest
import torch
from torch import nn

from spikemark.core.frameworks import get_adapter
from spikemark.data.card import Sizes
from spikemark.data.loading import load_dataset
from spikemark.errors import InputError
from spikemark.models.model import MODELS, model
from spikemark.training.build import build_system
from spikemark.training.loop import train
from spikemark.training.rule import Protocol
from spikemark.training.system import SYSTEMS

pytestmark = pytest.mark.usefixtures("registries_as_before")

SHAPE, CLASSES, T, B = (1, 8, 8), 10, 4, 3


class Linear(nn.Module):
    """A readout of each step, in whatever layout; `gives` turns its scores into what the model returns."""

    def __init__(self, features_from=2, gives=lambda scores: scores):
        super().__init__()
        self.readout = nn.Linear(64, CLASSES)
        self.dropout = nn.Dropout(0.5)
        self.features_from, self.gives = features_from, gives

    def forward(self, inputs):
        return self.gives(self.readout(self.dropout(inputs.flatten(self.features_from))))


def built(make, name="mine", layout="TB", made_for=None):
    model(name, framework="torch", layout=layout, steps=made_for)(make)
    return build_system(SYSTEMS[name], get_adapter("reference"), SHAPE, CLASSES, 0, steps=T)


def inputs(steps=T, batch=B):
    return torch.rand(1, batch, *SHAPE, generator=torch.Generator().manual_seed(0)).expand(steps, batch, *SHAPE)


@pytest.mark.parametrize("gives", [lambda s: s, lambda s: (s, "membranes"), lambda s: s.transpose(0, 1)])
def test_time_first_models_may_give_scores_in_any_known_form(gives):
    network = built(lambda shape, classes, steps: Linear(gives=gives)).eval()
    scores = network(inputs())
    assert scores.shape == (T, B, CLASSES)
    assert torch.equal(scores, network.module.readout(inputs().flatten(2)))


@pytest.mark.parametrize("gives", [lambda s: s, lambda s: s.transpose(0, 1), lambda s: (s,)])
def test_batch_first_models(gives):
    network = built(lambda shape, classes, steps: Linear(gives=gives), layout="BT").eval()
    assert network(inputs()).shape == (T, B, CLASSES)
    assert torch.allclose(network(inputs()), network.module.readout(inputs().flatten(2)))


def test_as_many_steps_as_samples_are_read_in_the_order_seen_before():
    network = built(lambda shape, classes, steps: Linear(gives=lambda s: s.transpose(0, 1))).eval()
    varied = torch.rand(T, T, *SHAPE)
    network(inputs())
    assert torch.equal(network(varied), network.module.readout(varied.flatten(2)))


def test_a_model_with_a_loop_of_its_own_takes_samples():
    network = built(lambda shape, classes, steps: Linear(features_from=1), layout="B").eval()
    assert network(inputs()).shape == (1, B, CLASSES)
    assert network(inputs().contiguous()).shape == (1, B, CLASSES)
    with pytest.raises(InputError, match=r"model 'mine': it keeps its own loop over time .* encoder 'direct'"):
        network(torch.rand(T, B, *SHAPE))


def test_a_model_that_is_called_once_per_step():
    network = built(lambda shape, classes, steps: Linear(features_from=1), layout="step").eval()
    varied = torch.rand(T, B, *SHAPE)
    assert torch.allclose(network(varied), network.module.readout(varied.flatten(2)))
    several = built(lambda shape, classes, steps: Linear(1, lambda s: torch.stack([s, s])), "other", "step").eval()
    with pytest.raises(InputError, match="gave several steps in one call; layout 'step' asks for one"):
        several(varied)


def test_build_is_told_the_steps():
    told = []
    built(lambda shape, classes, steps: told.append((shape, classes, steps)) or Linear())
    assert told == [(SHAPE, CLASSES, T)]
    MODELS["mine"]  # registered under its own kind too
    assert SYSTEMS["mine"].neuron == "mine"


def test_a_model_made_for_other_steps_is_refused():
    with pytest.raises(InputError, match="model 'mine': it is made for 8 steps, and the suite's encoding has 4"):
        built(lambda shape, classes, steps: Linear(), made_for=8)
    assert built(lambda shape, classes, steps: Linear(), name="other", made_for=T)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda shape, classes, steps: "a model", "build gave a str; expected a torch module"),
        (lambda shape, classes, steps: Linear(gives=lambda s: {"scores": s}), "gave a dict; expected scores"),
        (lambda shape, classes, steps: Linear(gives=lambda s: s[..., :5]), r"gave scores of shape \[4, 3, 5\]"),
        (lambda shape, classes, steps: Linear(gives=lambda s: s[:, :2]), r"gave scores of shape \[4, 2, 10\]"),
        (lambda shape, classes, steps: Linear(gives=lambda s: s[0, 0]), r"gave scores of shape \[10\]"),
        (lambda shape, classes, steps: Linear(gives=lambda s: ()), "gave a tuple; expected scores"),
    ],
)
def test_a_model_of_another_form_is_refused_by_name(make, message):
    with pytest.raises(InputError, match=f"model 'mine': {message}"):
        built(make).eval()(inputs())


def test_layouts_and_steps_are_checked_when_registering():
    with pytest.raises(InputError, match="model 'mine': layout 'TBC' is not one of TB, BT, B"):
        model("mine", framework="torch", layout="TBC")
    with pytest.raises(InputError, match="model 'mine': steps: 0 is below 1"):
        model("mine", framework="torch", steps=0)


def test_first_weights_and_dropout_follow_the_seed_and_not_the_global_generator():
    data = load_dataset("digits", sizes=Sizes(64, 32, 32))
    model("mine", framework="torch")(lambda shape, classes, steps: Linear())
    states = []
    for seed, elsewhere in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(elsewhere)
        network = build_system(SYSTEMS["mine"], get_adapter("reference"), SHAPE, CLASSES, seed, steps=T)
        trained = train(network, SYSTEMS["mine"].rule, data, Protocol(2, 16, "direct", T), seed)
        states.append(trained.last_state["module.readout.weight"])
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_weights_that_a_model_brings_are_kept():
    def brought(shape, classes, steps):
        made = Linear()
        nn.init.constant_(made.readout.weight, 0.25)
        return made

    assert bool((built(brought).module.readout.weight == 0.25).all())
