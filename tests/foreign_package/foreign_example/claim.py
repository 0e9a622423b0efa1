"""A claim: what a publication says, as contrasts of systems that records can decide."""

from spikemark import register
from spikemark.core.claims import Claim, contrast

claim = Claim(
    name="two-paths-beat-one",
    statement="A shallow path beside the deep one raises accuracy",
    source="made for the documentation",
    published="none",
    contrasts=(contrast("two-paths-resonator", "mlp-lif", "higher", margin=0.5),),
)
register("claim", claim.name, claim, source=claim.source)
