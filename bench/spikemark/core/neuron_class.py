"""What is known of a class of neurons that somebody else wrote. Plain data, which adapters give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from spikemark.core.adapter import Held

Form = Literal["B", "TB", "BT"]
"""Of what neurons give: a step ``[B, ...]``, or all steps with time or the batch first."""


@dataclass(frozen=True)
class NeuronClass:
    """A class of neurons.

    Attributes:
        words: state variables that an update of one neuron reads and writes back, or a function of the module.
        form: of what it gives; a function of the module where it depends on its settings; None where it is not known.
        weights: whether weights are inside, whose operations are to be counted; or a function of the module.
        spiking: whether its outputs are spikes, graded ones too; False for integrators.
        binary: whether its spikes are 0 or 1; or a function of the module.
        counted: whether its updates are; not those of encoders, whose spikes are the input's code.
        constants: where it holds "threshold", "decay" and the like, by name, or a function of the module that tells.
    """

    words: int | Callable[[Any], int] = 1
    form: Form | Callable[[Any], Form | None] | None = "B"
    weights: bool | Callable[[Any], bool] = False
    spiking: bool = True
    binary: bool | Callable[[Any], bool] = True
    counted: bool = True
    constants: Mapping[str, Held] | Callable[[Any], Mapping[str, Held]] = field(default_factory=dict)

    def constants_of(self, module: Any) -> Mapping[str, Held]:
        """Where a module of the class holds its constants."""
        return self.constants(module) if callable(self.constants) else self.constants
