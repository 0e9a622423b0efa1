"""What the plots show, free of how they are drawn: matplotlib and plotly draw the same data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spikemark.core.statistics import Interval

# Okabe and Ito's colours (jfly.uni-koeln.de/color, 2008), which colour-blind readers can tell apart, without black and
# with a darker yellow, so that they are seen on white and on dark grounds.
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#a38f00", "#7f7f7f")

HEAT_RANGE = (0.5, 2.0)
"""Where the colours of a heat map end; numbers beyond are shown all the same."""


def colours(names: list[str]) -> dict[str, str]:
    """A colour for each name, by its position; the palette repeats when it ends."""
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}


@dataclass(frozen=True)
class Curves:
    """Accuracy against something that grows.

    Attributes:
        where: data set and network.
        curves: by framework, panel (a noise) and system: place and accuracy (a fraction).
        name: of the plot, in links.
        title: what is shown.
        x: what grows.
    """

    where: str
    curves: Mapping[str, Mapping[str, Mapping[str, Mapping[int, Interval]]]]
    name: str = "noise"
    title: str = "Accuracy under noise"
    x: str = "severity"

    @property
    def panels(self) -> list[str]:
        """All panels, in order of appearance."""
        return list(dict.fromkeys(panel for curves in self.curves.values() for panel in curves))

    @property
    def systems(self) -> list[str]:
        """All systems, in order of appearance."""
        return list(dict.fromkeys(s for curves in self.curves.values() for panel in curves.values() for s in panel))


@dataclass(frozen=True)
class EnergyPoint:
    """A contender's energy and accuracy.

    Attributes:
        framework: who.
        system: what.
        energy: pJ per sample.
        accuracy: a fraction.
    """

    framework: str
    system: str
    energy: Interval
    accuracy: Interval


@dataclass(frozen=True)
class EnergyAccuracy:
    """Energy against accuracy under several hardware profiles.

    Attributes:
        where: data set and network.
        points: by profile.
    """

    where: str
    points: Mapping[str, tuple[EnergyPoint, ...]]


@dataclass(frozen=True)
class Bar:
    """A contender's ratio to the reference.

    Attributes:
        framework: who.
        track: "matched" or "native".
        system: what.
        ratio: to the reference, of the same measurement.
    """

    framework: str
    track: str
    system: str
    ratio: Interval


@dataclass(frozen=True)
class Ratios:
    """Throughput as ratios to the reference.

    Attributes:
        where: data set and network.
        bars: by quantity, such as "inference".
    """

    where: str
    bars: Mapping[str, tuple[Bar, ...]]


@dataclass(frozen=True)
class HeatMap:
    """A number for every noise and system, 1 being the baseline's.

    Attributes:
        where: data set and network.
        quantity: what the number is.
        values: by framework, system and noise; NaN where the number means nothing.
    """

    where: str
    quantity: str
    values: Mapping[str, Mapping[str, Mapping[str, float]]]

    @property
    def noises(self) -> list[str]:
        """All noises, in order of appearance."""
        return list(dict.fromkeys(n for systems in self.values.values() for row in systems.values() for n in row))
