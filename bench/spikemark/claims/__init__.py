"""What publications claim, as experiments with a verdict."""

from spikemark.claims.claim import Arm, Claim, Contrast, Expects, Quantity
from spikemark.claims.ledger import CLAIMS

__all__ = ["CLAIMS", "Arm", "Claim", "Contrast", "Expects", "Quantity"]
