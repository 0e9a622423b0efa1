"""The form of a claim: what a publication says, as contrasts between two systems that records can decide.

Directions and margins are written down before the records are made. `spikemark.report.claims` judges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spikemark.registry import Registry, registry

Quantity = Literal[
    "accuracy", "noisy accuracy", "firing rate", "additions", "energy", "seconds per epoch", "bytes saved for backward"
]
Expects = Literal["higher", "lower", "not lower", "equal"]


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
            means within it, "not lower" no further below than it; a "higher" that is surely less does not hold.
    """

    first: Arm
    second: Arm
    expects: Expects = "higher"
    quantity: Quantity = "accuracy"
    margin: float = 0.5

    @property
    def is_ratio(self) -> bool:
        """Whether sides are compared as a ratio."""
        return self.quantity not in ("accuracy", "noisy accuracy")

    def __str__(self) -> str:
        sign = {"higher": ">", "lower": "<", "not lower": "at least as high as", "equal": "="}[self.expects]
        return f"{self.quantity}: {self.first} {sign} {self.second}"


@dataclass(frozen=True)
class Claim:
    """What a publication says.

    Attributes:
        name: in links and commands.
        statement: in the words of this project.
        source: the publication; or whose question it is.
        published: the figures there, or that none could be found.
        contrasts: all must hold for the claim to hold.
    """

    name: str
    statement: str
    source: str
    published: str
    contrasts: tuple[Contrast, ...]


CLAIMS: Registry[Claim] = registry("claim")


def contrast(
    first: str,
    second: str,
    expects: Expects = "higher",
    quantity: Quantity = "accuracy",
    margin: float = 0.5,
    variant: str | tuple[str, str] = "",
) -> Contrast:
    """A contrast of two systems, both of one variant of the suite, or of one each."""
    one, other = (variant, variant) if isinstance(variant, str) else variant
    return Contrast(Arm(first, one), Arm(second, other), expects, quantity, margin)
