"""What the plots show, free of how they are drawn: matplotlib and plotly draw the same data."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spikemark.core.statistics import Interval

# Okabe and Ito's colours (jfly.uni-koeln.de/color, 2008), which colour-blind readers can tell apart, without black and
# with a darker yellow, so that they are seen on white and on dark grounds.
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#a38f00", "#7f7f7f")

VAGUE = 2.0
"""An interval of a ratio that spans more than this factor is no measurement."""
HEAT_RANGE = (0.5, 2.0)
"""Where the colours of a heat map end; numbers beyond are shown all the same."""


@dataclass(frozen=True)
class Style:
    """How a name is drawn, so that it is told from others without its colour, too.

    Attributes:
        colour: as "#rrggbb".
        marker: of matplotlib and of plotly.
        dash: of matplotlib and of plotly.
    """

    colour: str
    marker: tuple[str, str]
    dash: tuple[Any, str]


MARKERS = (
    ("o", "circle"), ("s", "square"), ("D", "diamond"), ("^", "triangle-up"), ("X", "x"), ("p", "pentagon"),
    ("*", "star"), ("h", "hexagon"), ("v", "triangle-down"),
)  # fmt: skip
DASHES: tuple[tuple[Any, str], ...] = (
    ("-", "solid"), ("--", "dash"), ("-.", "dashdot"), (":", "dot"), ((0, (5, 1, 1, 1, 1, 1)), "longdashdot"),
    ((0, (8, 2)), "longdash"),
)  # fmt: skip
# Names that stand side by side most often, each with a place of its own; any other gets one by its spelling.
_NEURONS = ("lif", "plif", "stl", "lt", "diet", "lif-soft", "if", "alif")
_FRAMEWORKS = ("spikingjelly", "snntorch", "norse", "fused", "sinabs", "rockpool", "spyx", "reference")


def neuron_style(name: str) -> Style:
    """The same for a neuron in every figure."""
    return _style(name, _NEURONS)


def framework_style(name: str) -> Style:
    """The same for a framework in every figure."""
    return _style(name, _FRAMEWORKS)


def _style(name: str, known: tuple[str, ...]) -> Style:
    place = known.index(name) if name in known else zlib.crc32(name.encode())
    return Style(PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)], DASHES[place % len(DASHES)])


def system_styles(neurons: Mapping[str, str]) -> dict[str, Style]:
    """A style for each system: that of its neuron, with other markers and dashes where several have that neuron.

    Args:
        neurons: by system.
    """
    found: dict[str, Style] = {}
    for system, neuron in neurons.items():
        before = sum(neurons[other] == neuron for other in found)
        style = neuron_style(neuron)
        marker = MARKERS[(MARKERS.index(style.marker) + before) % len(MARKERS)]
        dash = DASHES[(DASHES.index(style.dash) + before) % len(DASHES)]
        found[system] = Style(style.colour, marker, dash)
    return found


@dataclass(frozen=True)
class Curves:
    """Accuracy against something that grows.

    Attributes:
        where: data set and network.
        curves: by framework, panel (a noise) and system: place and accuracy (a fraction).
        neurons: by system.
        name: of the plot, in links.
        title: what is shown.
        x: what grows, where a panel has no ticks of its own.
        ticks: by panel, what grows and its values by place; a noise's physical severities.
        says: the finding that the plot shows, as one sentence; empty where there is none.
    """

    where: str
    curves: Mapping[str, Mapping[str, Mapping[str, Mapping[int, Interval]]]]
    neurons: Mapping[str, str]
    name: str = "noise"
    title: str = "Accuracy under noise"
    x: str = "severity"
    ticks: Mapping[str, tuple[str, Mapping[int, str]]] = field(default_factory=dict)
    says: str = ""

    @property
    def panels(self) -> list[str]:
        """All panels, in order of appearance."""
        return list(dict.fromkeys(panel for curves in self.curves.values() for panel in curves))

    @property
    def systems(self) -> list[str]:
        """All systems, in order of appearance."""
        return list(dict.fromkeys(s for curves in self.curves.values() for panel in curves.values() for s in panel))

    @property
    def styles(self) -> dict[str, Style]:
        """How each system is drawn."""
        return system_styles({system: self.neurons[system] for system in self.systems})

    def across(self, panel: str) -> str:
        """What grows in a panel."""
        return self.ticks[panel][0] if panel in self.ticks else self.x


@dataclass(frozen=True)
class EnergyPoint:
    """A contender's energy and accuracy.

    Attributes:
        framework: who.
        system: what.
        neuron: its neuron.
        energy: pJ per sample.
        accuracy: a fraction.
    """

    framework: str
    system: str
    neuron: str
    energy: Interval
    accuracy: Interval


@dataclass(frozen=True)
class EnergyAccuracy:
    """Energy against accuracy under several hardware profiles.

    Attributes:
        where: data set and network.
        points: by profile.
        says: the finding that the plot shows, as one sentence; empty where there is none.
    """

    where: str
    points: Mapping[str, tuple[EnergyPoint, ...]]
    says: str = ""

    @property
    def styles(self) -> dict[str, Style]:
        """How each system is drawn."""
        return system_styles({p.system: p.neuron for panel in self.points.values() for p in panel})


def front(points: Sequence[EnergyPoint]) -> list[EnergyPoint]:
    """The Pareto front: those that no other one beats in energy and accuracy at once, the most frugal first."""
    best: list[EnergyPoint] = []
    for point in sorted(points, key=lambda p: (p.energy.value, -p.accuracy.value)):
        if not best or point.accuracy.value > best[-1].accuracy.value:
            best.append(point)
    return best


@dataclass(frozen=True)
class Bar:
    """A contender's ratio to the reference.

    Attributes:
        framework: who.
        track: "matched" or "native".
        system: what.
        ratio: to the reference, of the same measurement.
        route: how much of it is the framework's own code; empty where that is not recorded.
    """

    framework: str
    track: str
    system: str
    ratio: Interval
    route: str = ""

    @property
    def vague(self) -> bool:
        """Whether the interval spans so much that the ratio counts as not measured."""
        return self.ratio.high > VAGUE * self.ratio.low


@dataclass(frozen=True)
class Ratios:
    """Throughput as ratios to the reference.

    Attributes:
        where: data set and network.
        bars: by quantity, such as "inference".
        says: the finding that the plot shows, as one sentence; empty where there is none.
    """

    where: str
    bars: Mapping[str, tuple[Bar, ...]]
    says: str = ""


@dataclass(frozen=True)
class HeatMap:
    """A number for every noise and system, 1 being the baseline's.

    Attributes:
        where: data set and network.
        quantity: what the number is.
        baseline: the system of which every number is 1.
        values: by framework, system but the baseline, and noise; NaN where the number means nothing.
        says: the finding that the plot shows, as one sentence; empty where there is none.
    """

    where: str
    quantity: str
    baseline: str
    values: Mapping[str, Mapping[str, Mapping[str, float]]]
    says: str = ""

    @property
    def noises(self) -> list[str]:
        """Noises with a number, in order of appearance."""
        return [noise for noise, values in self._by_noise().items() if not all(map(math.isnan, values))]

    @property
    def empty(self) -> list[str]:
        """Noises without one, which cost the baseline too little."""
        return [noise for noise, values in self._by_noise().items() if all(map(math.isnan, values))]

    def _by_noise(self) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for systems in self.values.values():
            for row in systems.values():
                for noise, value in row.items():
                    found.setdefault(noise, []).append(value)
        return found
