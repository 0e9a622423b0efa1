"""Where a layer is measured: sizes, type and mode of one point, and the axes that points lie on.

Plain data, free of torch, so that suites and reports may know it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from spikemark.core.options import checked
from spikemark.data.card import Count
from spikemark.errors import InputError

DType = Literal["float32", "bfloat16"]
Mode = Literal["eager", "compile"]
LayerPhase = Literal["forward", "forward+backward"]
TrainingStep = Literal["gradients", "rule"]
"""What a step of training is where only its cost matters: forward and backward, or all that the system's rule does."""
InputKind = Literal["changing", "constant"]
"""A new frame at every step, as events and Poisson coding have it, or the same one, as direct encoding has it."""
LayerAxis = Literal["steps", "batch", "width", "dtype", "compile", "convolution"]
TRACKS = ("matched", "native")
"""What is timed in a framework: the layer of the spec, and its own default LIF."""
# Along these a number grows, so that an exponent can be fitted;
GROWTH: dict[LayerAxis, str] = {"steps": "T", "batch": "B", "width": "N"}


@checked
class Point:
    """One layer to be measured.

    Attributes:
        steps: T.
        batch: B.
        shape: of the features: ``(N,)``, or ``(C, H, W)`` as behind a convolution.
        dtype: of currents, parameters and spikes.
        mode: "compile" for `torch.compile` with its defaults.
    """

    steps: Count
    batch: Count
    shape: Annotated[tuple[Count, ...], Field(min_length=1)]
    dtype: DType = "float32"
    mode: Mode = "eager"

    @property
    def label(self) -> str:
        """For tables, such as "T=16 B=64 N=1024 bfloat16"."""
        features = f"N={self.shape[0]}" if len(self.shape) == 1 else f"C={'x'.join(map(str, self.shape))}"
        words = [f"T={self.steps}", f"B={self.batch}", features]
        return " ".join(words + [word for word in (self.dtype, self.mode) if word not in ("float32", "eager")])

    @property
    def size(self) -> int:
        """Neurons times samples times steps."""
        return self.steps * self.batch * math.prod(self.shape)

    def along(self, axis: LayerAxis) -> float:
        """The number that grows along `axis`, one of `GROWTH`."""
        return float({"steps": self.steps, "batch": self.batch, "width": math.prod(self.shape)}[str(axis)])

    def at(self, axis: LayerAxis, value: Any) -> Point:
        """This point moved to `value` on one axis."""
        if axis in ("width", "convolution"):
            return replace(self, shape=tuple(value) if axis == "convolution" else (value,))
        return replace(self, **{"mode" if axis == "compile" else str(axis): value})

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the ``point`` of a measurement."""
        return {
            "steps": self.steps, "batch": self.batch, "shape": list(self.shape), "dtype": self.dtype, "mode": self.mode,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Point:
        """The point that `to_dict` wrote.

        Raises:
            InputError: a field is missing, unknown or wrong.
        """
        return cls(**{**data, "shape": tuple(data["shape"]) if isinstance(data.get("shape"), list) else None})


@checked
class NetworkPoint:
    """One size of a network and its batch.

    Attributes:
        steps: T.
        batch: B.
        width: of every hidden layer; None, with `depth`, for networks whose layers are given otherwise.
        depth: number of hidden layers.
    """

    steps: Count
    batch: Count
    width: Count | None = None
    depth: Count | None = None

    @property
    def hidden(self) -> tuple[int, ...] | None:
        """The network's option: widths of its hidden layers."""
        return None if self.width is None else (self.width,) * (self.depth or 1)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the ``point`` of a measurement."""
        return {name: value for name, value in vars(self).items() if value is not None}


NETWORK_GROWTH: Mapping[str, str] = {"steps": "T", "batch": "B", "width": "width", "depth": "depth"}
"""Fields of a `NetworkPoint`, as tables call them."""


def label_of(point: Mapping[str, Any]) -> str:
    """The ``point`` of a measurement as text; of one that is not a `Point`, its names and values."""
    try:
        return Point.from_dict(point).label
    except InputError:
        return " ".join(f"{name}={value}" for name, value in sorted(point.items()))
