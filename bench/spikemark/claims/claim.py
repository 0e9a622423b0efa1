"""The form of a claim: what a publication says, as contrasts between two systems that records can decide.

The ledger itself is `spikemark.claims.ledger`. How claims are judged is the affair of `spikemark.report.claims`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Quantity = Literal[
    "accuracy", "noisy accuracy", "firing rate", "additions", "energy", "seconds an epoch", "bytes saved for backward"
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
