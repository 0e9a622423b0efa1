"""What a rule of learning is to the training loop, and where the rules are found.

A rule sees encoded batches and changes the model; batches, their order, selection and deadlines are the loop's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType

from torch import Tensor, nn

from spikemark.errors import unknown
from spikemark.systems import System


@dataclass(frozen=True)
class Protocol:
    """What every contender trains with.

    Attributes:
        epochs: passes over the training split.
        batch_size: samples a step.
        encoder: a name in `spikemark.datasets.ENCODERS`.
        steps: time steps T.
    """

    epochs: int
    batch_size: int
    encoder: str
    steps: int


class Learner(ABC):
    """One run of a rule on one model.

    Everything that it changes and that inference needs lives in the model's state dict, since selection puts an
    earlier epoch's state back.

    Args:
        model: ``[T, B, *shape]`` to scores ``[T', B, classes]``; changed in place.
        system: what is trained and how.
        protocol: epochs, batch size and encoding.
        seed: of the run.
    """

    def __init__(self, model: nn.Module, system: System, protocol: Protocol, seed: int) -> None:
        self.model = model
        self.system = system
        self.protocol = protocol
        self.seed = seed

    def begin(self, inputs: Tensor) -> None:  # noqa: B027 (most rules have nothing to do here)
        """Called once before the first epoch, with the training samples ``[N, ...]``, not encoded and unlabelled."""

    @abstractmethod
    def learn(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from one batch.

        Args:
            inputs: encoded, ``[T, B, *shape]``.
            labels: ``[B]``.

        Returns:
            The batch's mean loss, a scalar, and the scores ``[B, classes]`` it was taken from, both detached.
        """

    def end_epoch(self) -> None:  # noqa: B027 (nor here)
        """Called after an epoch's last batch, before validation."""

    def diagnostics(self) -> Mapping[str, float]:
        """Further numbers of the trained model that belong in its record, by name; none for most rules."""
        return {}


RULES: Mapping[str, str] = MappingProxyType(
    {
        "bptt": "spikemark.training.bptt:BpttLearner",
        "rate-m": "spikemark.training.rate.learner:RateM",
        "rate-s": "spikemark.training.rate.learner:RateS",
        "spike-time": "spikemark.training.spike_time.learner:SpikeTimeLearner",
        "first-spike": "spikemark.training.first_spike.learner:FirstSpikeLearner",
        "sleep-stdp": "spikemark.training.sleep.learner:SleepStdpLearner",
        "bptt+sleep": "spikemark.training.sleep.surrogate:BpttSleepLearner",
    }
)
"""Rules by name, as ``module:class``: a rule is imported when a system uses it."""


def make_learner(model: nn.Module, system: System, protocol: Protocol, seed: int) -> Learner:
    """The learner of a system's rule.

    Raises:
        UnknownNameError: no such rule.
    """
    if system.rule not in RULES:
        raise unknown("rule", system.rule, RULES)
    module, _, name = RULES[system.rule].partition(":")
    learner: Learner = getattr(import_module(module), name)(model, system, protocol, seed)
    return learner


def rates(model: nn.Module, inputs: Tensor) -> Tensor:
    """Mean scores ``[B, classes]`` over the steps for encoded inputs ``[T, B, ...]``; firing rates for most models."""
    outputs: Tensor = model(inputs)
    return outputs.mean(0)
