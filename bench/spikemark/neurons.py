"""What a spiking neuron is, free of any framework: the spec of its dynamics and a catalogue of published ones.

This module knows nothing of tensors, frameworks or training; a spec is plain, frozen, hashable data.
The dynamics of one layer, for currents ``x[t]`` (``v[0] = 0``)::

    u[t] = a * v[t-1] + b * x[t]          b = 1, or 1 - a with decay_input
    o[t] = H(u[t] - theta)                H(0) = 1 with fires_at_threshold, else 0
    v[t] = u[t] * (1 - o[t])              reset "zero"
         | u[t] - theta * o[t]            reset "subtract"
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Self, get_args

Scope = Literal["fixed", "layer", "channel", "neuron"]
Transform = Literal["identity", "sigmoid", "tanh", "softplus", "exp"]
Reset = Literal["zero", "subtract"]
SurrogateName = Literal["atan", "superspike", "sigmoid", "triangle", "rectangle"]

_TRANSFORM_RANGE: Mapping[str, tuple[float, float]] = {
    "identity": (-math.inf, math.inf),
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softplus": (0.0, math.inf),
    "exp": (0.0, math.inf),
}


def _require(condition: bool, name: str, message: str) -> None:
    if not condition:
        raise ValueError(f"{name}: {message}")


def _require_choice(value: object, choices: tuple[str, ...], name: str) -> None:
    _require(value in choices, name, f"{value!r} is not one of {', '.join(choices)}")


def _require_number(instance: object, name: str) -> None:
    """Insist on a finite number, and keep it as a float, so that equal specs also have equal JSON."""
    value = getattr(instance, name)
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    _require(number, name, f"{value!r} is not a finite number")
    object.__setattr__(instance, name, float(value))


def _require_flag(value: object, name: str) -> None:
    _require(isinstance(value, bool), name, f"{value!r} is not true or false")


@dataclass(frozen=True)
class Learnable:
    """A parameter of the neuron, fixed or trained.

    Attributes:
        init: the effective value at the start; the raw parameter is its inverse transform.
        scope: "fixed" (never trained), or one value a "layer", a "channel" (first feature axis) or a "neuron".
        transform: map from the raw to the effective value.
        jitter: standard deviation of a Gaussian added to the raw parameter at the start.
    """

    init: float
    scope: Scope = "fixed"
    transform: Transform = "identity"
    jitter: float = 0.0

    def __post_init__(self) -> None:
        _require_number(self, "init")
        _require_choice(self.scope, get_args(Scope), "scope")
        _require_choice(self.transform, get_args(Transform), "transform")
        low, high = _TRANSFORM_RANGE[self.transform]
        _require(
            low < self.init < high,
            "init",
            f"{self.init} lies outside the range ({low}, {high}) of the transform {self.transform!r}",
        )
        _require_number(self, "jitter")
        _require(self.jitter >= 0, "jitter", f"{self.jitter} is negative")

    @property
    def learned(self) -> bool:
        """Whether training may change it."""
        return self.scope != "fixed"


@dataclass(frozen=True)
class Surrogate:
    """Stand-in for the derivative of the Heaviside step, as a function of ``z = u - theta``.

    ==========  =====================================================
    atan        ``(alpha / 2) / (1 + (pi / 2 * alpha * z) ** 2)``
    superspike  ``1 / (1 + alpha * abs(z)) ** 2``
    sigmoid     ``alpha * s(alpha * z) * (1 - s(alpha * z))``
    triangle    ``max(0, 1 - abs(z) / alpha) / alpha``
    rectangle   ``1 / alpha`` where ``abs(z) < alpha / 2``, else 0
    ==========  =====================================================

    each times ``scale``. With ``relative``, ``z = (u - theta) / theta`` and gradients follow the quotient.
    """

    name: SurrogateName
    alpha: float
    scale: float = 1.0
    relative: bool = False

    def __post_init__(self) -> None:
        _require_choice(self.name, get_args(SurrogateName), "name")
        for key in ("alpha", "scale"):
            _require_number(self, key)
            _require(getattr(self, key) > 0, key, f"{getattr(self, key)} is not positive")
        _require_flag(self.relative, "relative")


@dataclass(frozen=True)
class NeuronSpec:
    """The discrete dynamics of a layer of spiking neurons (see the module's equations).

    Attributes:
        decay: ``a``, the factor that the membrane keeps each step; between 0 and 1.
        threshold: ``theta``.
        decay_input: whether currents are scaled by ``1 - a``.
        reset: what a spike does to the membrane: set it to "zero", or "subtract" the threshold.
        detach_reset: whether the reset passes no gradient through the spike nor the threshold.
        fires_at_threshold: whether ``u == theta`` is a spike.
        surrogate: the derivative used for the spike.
        source: the publication; not part of the dynamics, so it takes no part in equality, hash or JSON.

    Raises:
        ValueError: a field is out of its range; the message begins with the field's path.
    """

    decay: Learnable
    threshold: Learnable
    decay_input: bool
    reset: Reset
    detach_reset: bool
    fires_at_threshold: bool
    surrogate: Surrogate
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for key, kind in (("decay", Learnable), ("threshold", Learnable), ("surrogate", Surrogate)):
            _require(isinstance(getattr(self, key), kind), key, f"{getattr(self, key)!r} is not a {kind.__name__}")
        _require(0 <= self.decay.init <= 1, "decay.init", f"{self.decay.init} lies outside [0, 1]")
        for key in ("decay_input", "detach_reset", "fires_at_threshold"):
            _require_flag(getattr(self, key), key)
        _require_choice(self.reset, get_args(Reset), "reset")
        if self.surrogate.relative:
            _require(self.threshold.init > 0, "threshold.init", "a relative surrogate divides by it: must be positive")

    def to_dict(self) -> dict[str, Any]:
        """The dynamics as plain data (without ``source``)."""
        data = asdict(self)
        del data["source"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The spec that `to_dict` wrote.

        Raises:
            ValueError: a field is missing, unknown or out of range; the message names it.
        """
        parts: dict[str, Any] = dict(_known("neuron spec", data, cls))
        for key, kind in (("decay", Learnable), ("threshold", Learnable), ("surrogate", Surrogate)):
            fields = _known(key, parts[key], kind)
            try:
                parts[key] = kind(**fields)
            except ValueError as error:
                raise ValueError(f"{key}.{error}") from None
        return cls(**parts)

    def to_json(self) -> str:
        """The dynamics as JSON with sorted keys; equal specs give equal text."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The spec that `to_json` wrote.

        Raises:
            ValueError: not JSON, or not a neuron spec.
        """
        data = json.loads(text)
        _require(isinstance(data, dict), "neuron spec", "is not a JSON object")
        return cls.from_dict(data)


def _known(what: str, data: Any, kind: type) -> Mapping[str, Any]:
    """The mapping `data`, once every key is a field of the dataclass `kind` and required ones are present."""
    if not isinstance(data, Mapping):
        raise ValueError(f"{what}: {data!r} is not a table of fields")
    fields = {f.name: f for f in kind.__dataclass_fields__.values() if f.name != "source"}  # type: ignore[attr-defined]
    for key in data:
        _require(key in fields, what, f"unknown field {key!r}; known: {', '.join(fields)}")
    for key, f in fields.items():
        _require(key in data or f.default is not MISSING, what, f"field {key!r} is missing")
    return data


_ATAN = Surrogate("atan", alpha=2.0)

OWN_NEURONS: Mapping[str, str] = MappingProxyType(
    {
        "srm": "spike response neuron with full reset, in plain PyTorch: Zhu et al., NeurIPS 2023",
        "adapting-lif": "LIF, its threshold raised by its own spikes, compiled: Massey, Hubin, Nichele and Sæbø 2026",
    }
)
"""Neurons that are no `NeuronSpec`, by name, with what they are: their networks compute them themselves."""

NEURONS: Mapping[str, NeuronSpec] = MappingProxyType(
    {
        "lif": NeuronSpec(
            decay=Learnable(0.5),
            threshold=Learnable(1.0),
            decay_input=True,
            reset="zero",
            detach_reset=True,
            fires_at_threshold=True,
            surrogate=_ATAN,
            source="LIF with tau = 2, the fixed baseline of Fang et al., ICCV 2021 (arXiv 2007.05785)",
        ),
        "plif": NeuronSpec(
            decay=Learnable(0.5, "layer", "sigmoid"),
            threshold=Learnable(1.0),
            decay_input=True,
            reset="zero",
            detach_reset=True,
            fires_at_threshold=True,
            surrogate=_ATAN,
            source="PLIF, tau0 = 2: Fang et al., ICCV 2021 (arXiv 2007.05785)",
        ),
        "stl": NeuronSpec(
            decay=Learnable(0.5),
            threshold=Learnable(2.0, "neuron", jitter=1e-4),
            decay_input=False,
            reset="zero",
            detach_reset=False,
            fires_at_threshold=True,
            surrogate=_ATAN,
            source="STL-SNN: Sun et al., IEEE TCDS 16(2), 2024 (arXiv 2206.06129)",
        ),
        "lt": NeuronSpec(
            decay=Learnable(0.25),
            threshold=Learnable(math.tanh(0.5), "layer", "tanh"),
            decay_input=False,
            reset="zero",
            detach_reset=False,
            fires_at_threshold=False,
            surrogate=Surrogate("rectangle", alpha=1.0),
            source="Learnable threshold of LTMD: Wang, Cheng and Lim, NeurIPS 2022",
        ),
        # DIET-SNN sets its first thresholds from a trained ANN; without one, 1.0 is our stand-in.
        # Its leak may grow to 1 but is clamped there; 0.95 with a sigmoid keeps it inside (ours).
        "diet": NeuronSpec(
            decay=Learnable(0.95, "layer", "sigmoid"),
            threshold=Learnable(1.0, "layer"),
            decay_input=False,
            reset="subtract",
            detach_reset=True,
            fires_at_threshold=False,
            surrogate=Surrogate("triangle", alpha=1.0, scale=0.3, relative=True),
            source="DIET-SNN: Rathi and Roy, IEEE TNNLS 34(6), 2023 (arXiv 2008.03658)",
        ),
        "lif16": NeuronSpec(
            decay=Learnable(0.9375),
            threshold=Learnable(1.0),
            decay_input=True,
            reset="zero",
            detach_reset=True,
            fires_at_threshold=True,
            surrogate=_ATAN,
            source="LIF with tau = 16, a fixed baseline of Fang et al., ICCV 2021 (arXiv 2007.05785)",
        ),
        "plif16": NeuronSpec(
            decay=Learnable(0.9375, "layer", "sigmoid"),
            threshold=Learnable(1.0),
            decay_input=True,
            reset="zero",
            detach_reset=True,
            fires_at_threshold=True,
            surrogate=_ATAN,
            source="PLIF, tau0 = 16: Fang et al., ICCV 2021 (arXiv 2007.05785)",
        ),
        "lif-tebn": NeuronSpec(
            decay=Learnable(0.25),
            threshold=Learnable(1.0),
            decay_input=False,
            reset="zero",
            detach_reset=False,
            fires_at_threshold=False,
            surrogate=Surrogate("triangle", alpha=1.0),
            source="LIF of TEBN: Duan et al., NeurIPS 2022",
        ),
        "lif-soft": NeuronSpec(
            decay=Learnable(0.2),
            threshold=Learnable(1.0),
            decay_input=False,
            reset="subtract",
            detach_reset=True,
            fires_at_threshold=True,
            surrogate=Surrogate("sigmoid", alpha=4.0),
            source="Rate-based backpropagation: Yu et al., NeurIPS 2024",
        ),
        # Only its first spike counts, so its reset does not; no rule here uses the surrogate.
        "if": NeuronSpec(
            decay=Learnable(1.0),
            threshold=Learnable(1.0, "neuron"),
            decay_input=False,
            reset="zero",
            detach_reset=True,
            fires_at_threshold=False,
            surrogate=_ATAN,
            source="non-leaky, of first-spike networks: Goupy, Tirilly and Bilasco, NeurIPS 2024 (arXiv 2410.17066)",
        ),
    }
)
