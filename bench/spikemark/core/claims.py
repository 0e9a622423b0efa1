"""The form of a claim: what a publication says, as contrasts between two systems that records can decide.

Directions, margins and data sets are written down before the records are made. `spikemark.report.claims` judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from spikemark.errors import InputError
from spikemark.registry import Registry, registry

Quantity = Literal[
    "accuracy", "noisy accuracy", "firing rate", "additions", "energy", "seconds per epoch", "bytes saved for backward"
]
Expects = Literal["higher", "lower", "not lower", "equal"]
Side = Literal["first", "second"]
Learned = Literal["threshold", "decay"]


@dataclass(frozen=True)
class Arm:
    """One side of a test.

    Attributes:
        system: a row of `SYSTEMS`.
        variant: of the suite's part.
    """

    system: str
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.system} ({self.variant})" if self.variant else self.system


@dataclass(frozen=True)
class Contrast:
    """First against second, seed by seed.

    Attributes:
        first: the side that the claim is about.
        second: the side it is compared with.
        expects: what the first's quantity is said to be.
        quantity: accuracies are compared as differences, costs as ratios.
        margin: the smallest difference that would matter: percentage points of accuracy, percent of a cost. "Equal"
            means within it, "not lower" no further below than it; a "higher" may be shown to be smaller than it.
        published: the effect in the publication, in the unit of the margin, which must not be larger than it; None
            where no figure could be found.
        learned: what the contrast is about by side, such as ``{"first": "threshold"}``. Where training did not move
            it, nothing is tested.
        collapse: whether the first is said to prevent that the second degenerates. Then degenerate runs count as they
            are, unless most of the first's are degenerate too: two dead networks tell nothing.
        not_on: frameworks whose way of computing changes the quantity itself, and why; there nothing is tested.
    """

    first: Arm
    second: Arm
    expects: Expects = "higher"
    quantity: Quantity = "accuracy"
    margin: float = 0.5
    published: float | None = None
    learned: Mapping[Side, Learned] = field(default_factory=dict, hash=False)
    collapse: bool = False
    not_on: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not self.margin > 0:
            raise InputError(f"contrast {self}: margin: {self.margin} is not above 0")
        if self.published is not None and self.expects in ("higher", "lower") and self.margin > abs(self.published):
            raise InputError(
                f"contrast {self}: margin: {self.margin:g} is larger than the published effect of "
                f"{self.published:g}, so that a true claim could be called too small to matter"
            )

    @property
    def is_ratio(self) -> bool:
        """Whether sides are compared as a ratio."""
        return self.quantity not in ("accuracy", "noisy accuracy")

    def __str__(self) -> str:
        sign = {"higher": ">", "lower": "<", "not lower": "at least as high as", "equal": "="}[self.expects]
        return f"{self.quantity}: {self.first} {sign} {self.second}"


@dataclass(frozen=True)
class Claim:
    """What a publication says, or what we ask.

    Attributes:
        name: in links and commands.
        statement: in the words of this project.
        source: the publication; or whose question it is.
        published: the figures there, or that none could be found.
        contrasts: all must hold for the claim to hold.
        setup: in what the cells differ from the publication's recipe; "" where they follow it. A verdict is about the
            publication only there.
        datasets: on which the claim is tested, as it was written before the records were made. Rows on others are
            shown and decide nothing. With None, rows on every data set decide.
    """

    name: str
    statement: str
    source: str
    published: str
    contrasts: tuple[Contrast, ...]
    setup: str = ""
    datasets: tuple[str, ...] | None = None


CLAIMS: Registry[Claim] = registry("claim")


def contrast(
    first: str,
    second: str,
    expects: Expects = "higher",
    quantity: Quantity = "accuracy",
    margin: float = 0.5,
    variant: str | tuple[str, str] = "",
    *,
    published: float | None = None,
    learned: Mapping[Side, Learned] | None = None,
    collapse: bool = False,
    not_on: Mapping[str, str] | None = None,
) -> Contrast:
    """A contrast of two systems, both of one variant of the suite, or of one each."""
    one, other = (variant, variant) if isinstance(variant, str) else variant
    arms = Arm(first, one), Arm(second, other)
    return Contrast(*arms, expects, quantity, margin, published, learned or {}, collapse, not_on or {})
