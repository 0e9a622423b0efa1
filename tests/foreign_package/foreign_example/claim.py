"""A claim: what a publication says, as contrasts of systems that records can decide."""

from spikemark import register
from spikemark.core.claims import Claim, contrast

claim = Claim(
    name="smoothed-labels-help",
    statement="Smoothed labels raise accuracy",
    source="made for the documentation",
    published="none",
    contrasts=(contrast("mlp-stl-smoothed", "mlp-stl", "higher", margin=0.5),),
)
register("claim", claim.name, claim, source=claim.source)
