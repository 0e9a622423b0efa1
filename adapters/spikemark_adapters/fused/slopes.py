"""Derivatives of surrogate gradients, written for kernels."""

from __future__ import annotations

import math

from spikemark_adapters.fused.emit import Value


class Slope:
    """Writes a surrogate's derivative.

    Args:
        name: of the surrogate.
        relative: whether it is.
        theta: thresholds.
        reach: the surrogate's width, see `spikemark.core.surrogates.reach_and_top`.
        top: its height.

    Attributes:
        inverse: 1 / theta; only where it is relative.
    """

    def __init__(self, name: str, relative: bool, theta: Value, reach: Value, top: Value) -> None:
        self.name, self.theta, self.reach, self.top = name, theta, reach, top
        if relative:
            self.inverse = 1 / self.theta
            self.top = self.top * self.inverse
            unit = abs(self.theta)
            self.reach = self.reach * unit if self.name == "rectangle" else self.reach / unit

    def at(self, u: Value) -> Value:
        """The derivative where the membrane is `u`."""
        distance, none = u - self.theta, u.like(0)
        if self.name == "atan":
            y = distance * self.reach
            return self.top / (1 + y * y)
        if self.name == "rectangle":
            return (abs(distance) < self.reach).choose(self.top, none)
        y = abs(distance) * self.reach
        if self.name == "superspike":
            return self.top / ((1 + y) * (1 + y))
        if self.name == "sigmoid":
            e = _exp_minus(y)
            return self.top * e / ((1 + e) * (1 + e))
        return self.top * (y > 1).choose(none, 1 - y)


def _exp_minus(y: Value) -> Value:
    """``exp(-y)`` for ``y >= 0``: 2**turns times a series for the rest, in arithmetic that vectorises.

    Adding `shift`, 1.5 * 2**mantissa, leaves a whole number, in the low bits; ln 2 is subtracted in two parts.
    """
    mantissa, bias, largest, ln2, terms = {
        4: (23, 127, 87.0, (0.693359375, -2.12194440e-4), 7),
        8: (52, 1023, 700.0, (0.693145751953125, 1.42860682030941723212e-6), 13),
    }[y.code.itemsize]
    y = (y > largest).choose(y.like(largest), y)
    shift = 1.5 * 2.0**mantissa
    shifted = shift - y * (1 / math.log(2))
    turns = shifted - shift
    x = (0 - y) - turns * ln2[0] - turns * ln2[1]
    series = x.like(1)
    for n in range(terms, 0, -1):
        series = 1 + x * (1 / n) * series
    return series * shifted.power_of_two(mantissa, bias)
