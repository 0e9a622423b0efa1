"""What one job measures: data, network and training, made when a measure asks for them, and then shared."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from spikemark.core.adapter import Adapter
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS, Neuron, NeuronSpec
from spikemark.core.streams import generator
from spikemark.data.card import DATASETS, Binning, Card, Sizes
from spikemark.data.encoders import encode
from spikemark.data.loading import Dataset, load_dataset
from spikemark.errors import InputError
from spikemark.training.loop import DivergedError, Trained, Watch, evaluate, train
from spikemark.training.rule import Protocol, Rule
from spikemark.training.system import System
from spikemark.training.tuning import Trial, Tuning, tune
from spikemark.training.weights import WeightStore

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spikemark.networks.stages import SpikingNetwork


@dataclass
class Subject:
    """One point of a suite at work.

    Attributes:
        framework: name of the adapter.
        neuron_name: a name in `NEURONS`.
        system: neuron, network and rule; None where a single layer is measured.
        dataset_name: a name in `DATASETS`; None likewise.
        seed: of the run.
        settings: the tables of the suite that determine a training.
        device: "cpu" or "cuda".
        data_dir: folder of the data sets; None for the default places.
        watch: deadline, and who is told of epochs.
        training_key: under which trained weights are kept.
        tuning_key: under which the scores of the search for the rule's options are kept.
        weights: where they are kept; None for nowhere.
        fingerprints: hashes of what contenders share; measures add theirs.
        left_out: what measures could not take of it, and why; measures add theirs.
        batch_size: samples at a time where their number changes nothing but speed.
    """

    given: ClassVar[bool] = False
    """Whether the network was brought, and not trained here."""

    framework: str
    neuron_name: str
    system: System | None
    dataset_name: str | None
    seed: int
    settings: Mapping[str, Any]
    device: str = "cpu"
    data_dir: Path | None = None
    watch: Watch = field(default_factory=Watch)
    training_key: str | None = None
    tuning_key: str | None = None
    weights: WeightStore | None = None
    fingerprints: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    batch_size: int = 256
    _failure: Exception | None = field(default=None, init=False)

    @cached_property
    def adapter(self) -> Adapter:
        """The framework; the reference for neurons that bring none of ours along."""
        return get_adapter(self.framework if self.neuron.framework is None else "reference")

    @cached_property
    def neuron(self) -> Neuron:
        """The neuron."""
        return NEURONS[self.neuron_name]

    @property
    def spec(self) -> NeuronSpec:
        """The neuron's spec.

        Raises:
            InputError: it has none.
        """
        if not isinstance(self.neuron, NeuronSpec):
            raise InputError(f"neuron {self.neuron_name!r} has no spec, which this measure compares")
        return self.neuron

    @property
    def trained_system(self) -> System:
        """The system.

        Raises:
            InputError: there is none.
        """
        if self.system is None:
            raise InputError("this measure needs a system; a single neuron was given")
        return self.system

    @property
    def card(self) -> Card:
        """What is known of the data set."""
        assert self.dataset_name is not None
        return DATASETS[self.dataset_name]

    @cached_property
    def protocol(self) -> Protocol:
        """Epochs, batch size and encoding."""
        training, encoding = self.settings.get("training", {}), self.settings["encoding"]
        return Protocol(training.get("epochs", 1), training.get("batch_size", 1), encoding["name"], encoding["steps"])

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, cut to the suite's sizes and binned as it says."""
        assert self.dataset_name is not None
        return loaded(self.dataset_name, self.data_dir, self.settings)

    @cached_property
    def fused(self) -> dict[str, list[str]]:
        """What the framework computes as one, see `spikemark.networks.stages.fused_stages`."""
        from spikemark.networks.stages import fused_stages
        from spikemark.training.build import build_system

        if type(self.adapter).stage is Adapter.stage:
            return {}
        shape, classes, steps = self.card.shape, self.card.classes, self.protocol.steps
        model = build_system(self.trained_system, self.adapter, shape, classes, self.seed, steps=steps, meta=True)
        return fused_stages(model, self.device)

    @cached_property
    def model(self) -> SpikingNetwork:
        """The trained network in evaluation mode, with the weights of the best-validation epoch."""
        model = self._untrained
        trained = self.trained
        model.load_state_dict(trained.best_state)
        return model.eval()

    @cached_property
    def trained(self) -> Trained:
        """What training left: read where it was kept, else trained now, and kept.

        Raises:
            spikemark.training.loop.DivergedError: training left the numbers, or the network fell silent.
            spikemark.training.loop.JobTimeoutError: time was up.
        """
        if self._failure is not None:  # what half a training left must not be trained on for the next measure
            raise self._failure
        found = self.weights.load(self.training_key) if self.weights and self.training_key else None
        if found is None:
            try:
                found = train(self._untrained, self.rule, self.dataset, self.protocol, self.seed, self.watch)
            except Exception as error:
                self._failure = error
                raise
            if self.weights and self.training_key:
                self.weights.save(self.training_key, found)
        self.fingerprints.update(found.fingerprints)
        return found

    @property
    def rule(self) -> Rule:
        """How the system is trained: its rule, with the options that validation chose where the suite has it tuned."""
        return self._tuned[0]

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The trainings of the search for the rule's options; none where the rule is taken as it is."""
        return self._tuned[1]

    @cached_property
    def _tuned(self) -> tuple[Rule, tuple[Trial, ...]]:
        rule, table = self.trained_system.rule, self.settings.get("tuning")
        if table is None:
            return rule, ()
        tuning = Tuning.model_validate_json(json.dumps(table))
        protocol = replace(self.protocol, epochs=tuning.epochs)

        def attempt(rule: Rule) -> float | None:
            try:
                done = train(self._network(tuning.seed), rule, self.dataset, protocol, tuning.seed, self.watch)
            except DivergedError:
                return None
            return max(epoch.validation_accuracy for epoch in done.history)

        keep: AbstractContextManager[MutableMapping[str, float | None]]
        keep = self.weights.scores(self.tuning_key) if self.weights and self.tuning_key else nullcontext({})
        with keep as scores:

            def score(rule: Rule) -> float | None:
                name = json.dumps(rule.to_dict(), sort_keys=True)
                if name not in scores:
                    scores[name] = attempt(rule)
                return scores[name]

            return tune(rule, tuning, rule.idle(self.trained_system.spec), score)

    @cached_property
    def _untrained(self) -> SpikingNetwork:
        return self._network(self.seed)

    def _network(self, seed: int) -> SpikingNetwork:
        from spikemark.training.build import build_system

        dataset = self.dataset
        model = build_system(
            self.trained_system, self.adapter, dataset.shape, dataset.classes, seed, steps=self.protocol.steps
        )
        return model.to(self.device)

    @cached_property
    def test_outputs(self) -> Tensor:
        """Scores ``[N, classes]`` of the test split; it is evaluated once, with the weights of the best epoch."""
        return evaluate(self.model, self.dataset.test, self.protocol, self.watch, self.dataset.name, "test")

    @property
    def multiplied(self) -> Callable[[], Sequence[str]] | None:
        """Tells the names of the tensors that are weights; None for those of linear and convolutional layers."""
        return None

    @property
    def degenerate(self) -> str | None:
        """Why the trained network says nothing about its neuron; None where it does."""
        from spikemark.measures.health import degenerate

        return degenerate(self)


@dataclass
class GivenSubject(Subject):
    """A network that was trained elsewhere, and samples at hand.

    Attributes:
        network: ``[T, B, *shape]`` to scores ``[T, B, classes]``, from its first state at every call.
        samples: the data set; of its splits the test split alone is used.
        about: its card.
    """

    network: nn.Module | None = None
    samples: Dataset | None = None
    about: Card | None = None

    given = True

    @property
    def card(self) -> Card:
        """See `Subject.card`."""
        assert self.about is not None
        return self.about

    @cached_property
    def adapter(self) -> Adapter:
        """The reference: no framework can build its neurons anew."""
        return get_adapter("reference")

    @cached_property
    def protocol(self) -> Protocol:
        """Batch size and encoding."""
        encoding = self.settings["encoding"]
        return Protocol(1, self.batch_size, encoding["name"], encoding["steps"])

    @cached_property
    def dataset(self) -> Dataset:
        """See `Subject.dataset`."""
        assert self.samples is not None
        return self.samples

    @cached_property
    def model(self) -> SpikingNetwork:
        """The network, in evaluation mode."""
        assert self.network is not None
        return cast("SpikingNetwork", self.network.eval())

    @property
    def multiplied(self) -> Callable[[], Sequence[str]]:
        """See `Subject.multiplied`: every weight that a trace saw multiplied."""
        return lambda: self._multiplied

    @cached_property
    def _multiplied(self) -> tuple[str, ...]:
        from spikemark.measures.counting.operations import weights_of

        data, protocol = self.dataset, self.protocol
        random = generator("encoding", data.name, "weights")
        few = encode(protocol.encoder, data.test.inputs[:2], protocol.steps, random)
        return weights_of(self.model, few.to(self.device))


def loaded(name: str, data_dir: Path | None, settings: Mapping[str, Any]) -> Dataset:
    """A data set, cut and binned; read once for all jobs that a process runs one after the other.

    Args:
        name: in `DATASETS`.
        data_dir: folder of the data sets; None for the default places.
        settings: a suite's tables, of which "sizes" and "events" say what is read.

    Raises:
        InputError: see `load_dataset`.
    """
    events = settings.get("events")
    binning = None if events is None else Binning(**_with_tuples(events))
    return _loaded(name, data_dir, Sizes(**settings["sizes"]), binning)


@lru_cache(maxsize=2)
def _loaded(name: str, data_dir: Path | None, sizes: Sizes, binning: Binning | None) -> Dataset:
    return load_dataset(name, data_dir, sizes, binning)


def _with_tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table as it was before it became JSON."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
