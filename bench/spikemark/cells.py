"""A cell: one point of a suite with everything that determines its result; the unit of work, caching and failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spikemark.adapter import get_adapter
from spikemark.errors import InputError
from spikemark.noise import NOISES
from spikemark.results import key_of
from spikemark.systems import SYSTEMS

Task = Literal["train", "throughput", "layers", "conformance"]
# These have no network: their cells name neurons where others name systems.
_OF_NEURONS = ("layers", "conformance")
ONLY_KEYS = ("measure", "framework", "neuron", "network", "system", "dataset", "seed", "variant")


@dataclass(frozen=True)
class Cell:
    """One point of a suite.

    Attributes:
        suite: the suite's name; it does not enter the key, so suites share results.
        task: "train" (accuracy, robustness and energy of one trained network), "throughput" (of a network), "layers" or
            "conformance".
        framework: adapter.
        system: a row of `SYSTEMS`; for layers and conformance, a row of `NEURONS`.
        dataset: a row of `DATASETS`; for conformance, "dyadic"; for layers, the axis along which they vary.
        seed: of the run.
        timeout: seconds.
        settings: the tables of the suite file that determine the result.
        variant: what tells a part of the suite from others that run the same systems with other settings.
    """

    suite: str
    task: Task
    framework: str
    system: str
    dataset: str
    seed: int
    timeout: float
    settings: Mapping[str, Any]
    variant: str = ""

    @property
    def neuron(self) -> str:
        """Name of the neuron."""
        return self.system if self.task in _OF_NEURONS else SYSTEMS[self.system].neuron

    @property
    def network(self) -> str | None:
        """Name of the network; None for layers and conformance."""
        return None if self.task in _OF_NEURONS else SYSTEMS[self.system].network

    @property
    def exclusive(self) -> bool:
        """Whether the cell must have the machine to itself."""
        return self.task in ("throughput", "layers")

    def axes(self) -> dict[str, Any]:
        """The axes that `--only` selects by, as they stand in a record's ``cell``."""
        return {
            "measure": self.task,
            "framework": self.framework,
            "neuron": self.neuron,
            "network": self.network,
            "system": self.system,
            "dataset": self.dataset,
            "seed": self.seed,
        } | ({"variant": self.variant} if self.variant else {})

    def content(self) -> dict[str, Any]:
        """Everything that determines the result, as it stands in the record."""
        system = {} if self.task in _OF_NEURONS else {"system_definition": SYSTEMS[self.system].to_dict()}
        noises = self.settings.get("robustness", {}).get("noises", ())
        levels = {"noise_levels": {name: list(NOISES[name].levels) for name in noises}} if noises else {}
        version = get_adapter(self.framework).version()
        return self.axes() | system | levels | {"settings": dict(self.settings), "framework_version": version}

    def key(self) -> str:
        """The record's key."""
        return key_of(self.content())

    def __str__(self) -> str:
        variant = f" {self.variant}" if self.variant else ""
        return f"{self.task} {self.framework} {self.system} {self.dataset}{variant} seed {self.seed}"


def select(cells: list[Cell], only: list[str]) -> list[Cell]:
    """The cells that match every ``KEY=VALUE[,VALUE...]``.

    Raises:
        InputError: a term of another form, an unknown key, or nothing left.
    """
    for term in only:
        key, separator, values = term.partition("=")
        if not separator or key not in ONLY_KEYS:
            raise InputError(f"--only {term}: expected KEY=VALUE with KEY one of {', '.join(ONLY_KEYS)}")
        wanted = set(values.split(","))
        found = {str(cell.axes().get(key)) for cell in cells}
        if not wanted <= found:
            missing = ", ".join(sorted(wanted - found))
            raise InputError(f"--only {term}: no cell has {key} {missing} (there are: {', '.join(sorted(found))})")
        cells = [cell for cell in cells if str(cell.axes().get(key)) in wanted]
    if not cells:
        raise InputError("no cells to run")
    return cells
