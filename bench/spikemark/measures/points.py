"""Where a layer is measured: sizes, type and mode of one point, its label in records, and the axes that points lie on.

Plain data, free of torch, so that suites and reports may know it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

DType = Literal["float32", "bfloat16"]
Mode = Literal["eager", "compile"]
LayerPhase = Literal["forward", "forward+backward"]
TrainingStep = Literal["gradients", "rule"]
"""What a step of training is where only its cost matters: forward and backward, or all that the system's rule does."""
LayerAxis = Literal["steps", "batch", "width", "dtype", "compile", "convolution"]
TRACKS = {"matched": "", "native": "native_"}
"""What is timed in a framework, the layer of the spec and its own default LIF, and how metrics of each begin."""
AXES: tuple[LayerAxis, ...] = get_args(LayerAxis)
# Along these a number grows, so that an exponent can be fitted; their letters are those of labels.
GROWTH: dict[LayerAxis, str] = {"steps": "T", "batch": "B", "width": "N"}
_LABEL = re.compile(r"T=(\d+) B=(\d+) (?:N=(\d+)|C=(\d+(?:x\d+)*))(?: (bfloat16))?(?: (compile))?")


@dataclass(frozen=True)
class Point:
    """One layer to be measured.

    Attributes:
        steps: T.
        batch: B.
        shape: of the features: ``(N,)``, or ``(C, H, W)`` as behind a convolution.
        dtype: of currents, parameters and spikes.
        mode: "compile" for `torch.compile` with its defaults.
    """

    steps: int
    batch: int
    shape: tuple[int, ...]
    dtype: DType = "float32"
    mode: Mode = "eager"

    @property
    def label(self) -> str:
        """As it stands in the ``layer`` of a measurement, such as "T=16 B=64 N=1024 bfloat16"."""
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

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> list[Point]:
        """The points of a cell, from the table ``layers`` of its settings."""
        base = cls(settings["steps"], settings["batch"], (settings["width"],))
        return [base.at(settings["axis"], value) for value in settings["points"]]

    @classmethod
    def parse(cls, label: str) -> Point | None:
        """The point behind a label; None where it is none."""
        found = _LABEL.fullmatch(label)
        if found is None:
            return None
        steps, batch, width, features, dtype, mode = found.groups()
        shape = tuple(map(int, (width or features).split("x")))
        point = cls(int(steps), int(batch), shape)
        return point.at("dtype", dtype or point.dtype).at("compile", mode or point.mode)
