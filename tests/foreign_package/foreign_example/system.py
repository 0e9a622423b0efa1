"""Systems: a neuron, a network and a rule; here ours, the package's own, and a mixture."""

from foreign_example.rule import Smoothed
from spikemark import System, register

SMOOTHED = System(
    "stl", "mlp", Smoothed(smoothing=0.2), normalization="magnitude", options={"hidden": (64,)}, source="an example"
)
register("system", "mlp-stl-smoothed", SMOOTHED, source=SMOOTHED.source)
register("system", "two-paths-resonator", System("resonator", "two-paths", source="an example"), source="an example")
