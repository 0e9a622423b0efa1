"""The form of a measurement: one number with what tells it apart, and how two of them are compared."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic needs this one on Python 3.11

Rule = Literal["exact", "score", "cost"]


def _unpackable(text: str) -> str:
    unpack_correct(text)
    return text


Packed = Annotated[str, AfterValidator(_unpackable)]
"""Correctness of each sample, see `pack_correct`."""


@with_config(ConfigDict(extra="forbid", allow_inf_nan=False))
class Measurement(TypedDict):
    """One number.

    Attributes:
        metric: what is measured, a `Metric` of some measure.
        value: finite.
        unit: of the value.
        split: of the data, or the phase of a timing.
        noise: under which it was measured.
        severity: of the noise, 0 for clean.
        layer: qualified name of the module.
        profile: hardware profile of an energy.
        input_kind: kind of a layer's input.
        track: "matched" (the neuron of the spec) or "native" (the framework's own default).
        point: sizes, type and mode at which a single layer was measured, see `spikemark.measures.speed.points.Point`;
            of an attack the number of steps.
        dtype: of the tensors.
        low: lower end of the value's own 95 % interval.
        high: upper end.
        values: raw repeats; of a noise that was drawn more than once, each draw's.
        correct: packed correctness of each test sample, draw after draw, see `unpack_correct`.
        why: a reason, where there is one.
    """

    metric: str
    value: float
    unit: str
    split: NotRequired[str]
    noise: NotRequired[str]
    severity: NotRequired[int]
    layer: NotRequired[str]
    profile: NotRequired[str]
    input_kind: NotRequired[str]
    track: NotRequired[str]
    point: NotRequired[dict[str, Any]]
    dtype: NotRequired[str]
    low: NotRequired[float]
    high: NotRequired[float]
    values: NotRequired[Annotated[list[float], Field(min_length=1)]]
    correct: NotRequired[Packed]
    why: NotRequired[str]


def _in_order(row: Measurement) -> Measurement:
    low, value, high = row.get("low", row["value"]), row["value"], row.get("high", row["value"])
    if not low <= value <= high:
        raise ValueError(f"the value {value:g} of {row['metric']} lies outside its interval {low:g} to {high:g}")
    return row


Checked = Annotated[Measurement, AfterValidator(_in_order)]
"""A measurement as records hold it."""

FEATURES = ("metric", "unit", "split", "noise", "severity", "layer", "profile", "input_kind", "track", "point", "dtype")
"""The fields that tell measurements of one record apart."""


def identity(row: Measurement) -> tuple[Any, ...]:
    """Everything that tells a measurement from others of its record, to be compared and hashed."""
    return tuple(str(row[name]) if name == "point" and name in row else row.get(name) for name in FEATURES)  # type: ignore[literal-required]


@dataclass(frozen=True)
class Metric:
    """A quantity that a measure gives, and how HEAD's is judged against BASE's.

    Attributes:
        name: in `Measurement.metric`.
        unit: of its values.
        rule: "exact" (deterministic: any difference is a finding), "score" (by seed, with intervals) or "cost"
            (measured: time, rates, memory).
        more: whether more is better.
        watched: whether comparisons look at it unless others are asked for.
        timed: whether its verdicts are called slower and faster; worse and better otherwise.
    """

    name: str
    unit: str
    rule: Rule
    more: bool = False
    watched: bool = True
    timed: bool = False


def pack_correct(correct: NDArray[np.bool_]) -> str:
    """Per-sample correctness as text: the count, then packed bits in base64."""
    return f"{correct.size}:{base64.b64encode(np.packbits(correct).tobytes()).decode()}"


def unpack_correct(text: str) -> NDArray[np.bool_]:
    """What `pack_correct` packed.

    Raises:
        ValueError: the text is not of that form.
    """
    size, _, packed = text.partition(":")
    bits = np.frombuffer(base64.b64decode(packed, validate=True), dtype=np.uint8)
    if not size.isdecimal() or bits.size != -(-int(size) // 8):
        raise ValueError(f"{size or 'no'} samples packed in {bits.size} bytes")
    return np.unpackbits(bits, count=int(size)).astype(bool)
