"""What a rule of learning is: its options, and the learner that follows it on one model.

A learner sees encoded batches and changes the model; batches, their order, selection and deadlines are the loop's.
This module imports no torch: suites plan with the options alone.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from spikemark.core.options import Options
from spikemark.errors import InputError, explain
from spikemark.registry import Registry, registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spikemark.core.neurons import NeuronSpec

RULES: Registry[type[Rule]]


class Rule(Options, ABC):
    """A rule of learning; its fields are all that it can be told.

    Attributes:
        name: under which it is registered.
    """

    name: ClassVar[str]

    @abstractmethod
    def learner(self, model: nn.Module, protocol: Protocol, seed: int) -> Learner[Any]:
        """One run of the rule on one model.

        Raises:
            InputError: the rule cannot train this model.
            spikemark.core.adapter.Unsupported: likewise, for a reason that lies in the framework.
        """

    def idle(self, spec: NeuronSpec | None) -> frozenset[str]:
        """Dotted paths of options that change nothing for neurons of this spec; a search leaves them alone."""
        return frozenset()

    def to_dict(self) -> dict[str, Any]:
        """Name and options as plain data; options that have their default are left out."""
        return {"name": self.name, **self.model_dump(mode="json", exclude_defaults=True)}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Rule:
        """The rule that `to_dict` wrote, or that a suite's table ``rule`` describes.

        Raises:
            UnknownNameError: no such rule.
            InputError: an option is unknown or out of its range; the message names rule and option.
        """
        options = dict(data)
        name = str(options.pop("name", "bptt"))
        kind = RULES[name]
        try:
            # As JSON, where a list may stand for a tuple and yet no text for a number.
            return kind.model_validate_json(json.dumps(options, default=str))
        except ValidationError as error:
            raise InputError(f"rule {name}: {explain(error, kind.model_fields)}") from None


RULES = registry("rule")


@dataclass(frozen=True)
class Protocol:
    """What every contender trains with.

    Attributes:
        epochs: passes over the training split.
        batch_size: samples per step.
        encoder: a name in `spikemark.data.encoders.ENCODERS`.
        steps: time steps T.
    """

    epochs: int
    batch_size: int
    encoder: str
    steps: int


OfRule = TypeVar("OfRule", bound=Rule)


class Learner(ABC, Generic[OfRule]):
    """One run of a rule on one model.

    Everything that it changes and that inference needs lives in the model's state dict, since selection puts an
    earlier epoch's state back.

    Args:
        model: ``[T, B, *shape]`` to scores ``[T', B, classes]``; changed in place.
        rule: the options.
        protocol: epochs, batch size and encoding.
        seed: of the run.
    """

    def __init__(self, model: nn.Module, rule: OfRule, protocol: Protocol, seed: int) -> None:
        self.model = model
        self.rule = rule
        self.protocol = protocol
        self.seed = seed

    def begin(self, inputs: Tensor) -> None:
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

    def end_epoch(self) -> None:
        """Called after an epoch's last batch, before validation."""

    def diagnostics(self) -> Mapping[str, float]:
        """Further numbers of the trained model that belong in its record, by name; none for most rules."""
        return {}


class Optimizer(Options):
    """How parameters move.

    Attributes:
        name: "adam", "adamw" (decoupled weight decay) or "sgd".
        learning_rate: at the start.
        weight_decay: on weights and learned neuron parameters alike, as most publications on learned thresholds do.
        momentum: of "sgd".
        threshold_learning_rate_factor: times `learning_rate` is the learning rate of thresholds.
        decay_learning_rate_factor: times `learning_rate` is the learning rate of decays.
        threshold_weight_decay: of thresholds, instead of `weight_decay`.
        schedule: "constant", "cosine" (to 0 over all epochs) or "exponential" (times `gamma` after each epoch).
        gamma: of the exponential schedule.
    """

    name: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.93
    threshold_learning_rate_factor: Annotated[float, Field(gt=0)] = 1.0
    decay_learning_rate_factor: Annotated[float, Field(gt=0)] = 1.0
    threshold_weight_decay: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _of_use(self) -> Self:
        if "momentum" in self.model_fields_set and self.name != "sgd":
            raise ValueError(f"momentum: {self.name} has none; sgd has")
        if "gamma" in self.model_fields_set and self.schedule != "exponential":
            raise ValueError(f"gamma: the schedule {self.schedule} has none; exponential has")
        return self
