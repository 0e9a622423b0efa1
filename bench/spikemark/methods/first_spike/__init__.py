"""First-spike networks and their local rules: S2-STDP, SSTDP, R-STDP and Neuronal Competition Groups.

Inputs and neurons spike at most once, at a float time in 0..1 where 1 means "silent"; there are no time steps. Sources:
Goupy, Tirilly and Bilasco, NeurIPS 2024 (arXiv 2410.17066) for the groups, and Frontiers in Neuroscience 18, 2024
(arXiv 2308.02194) for S2-STDP and paired neurons. `docs/local_learning.md` says what of it is ours.
"""

from spikemark.methods.first_spike.claims import CLAIMS
from spikemark.methods.first_spike.neurons import NEURONS
from spikemark.methods.first_spike.systems import SYSTEMS
from spikemark.registry import register, register_all

register_all("neuron", NEURONS)
register("network", "first-spike", "spikemark.methods.first_spike.network:first_spike")
register("rule", "first-spike", "spikemark.methods.first_spike.options:FirstSpike")
register_all("system", SYSTEMS)
register_all("claim", {claim.name: claim for claim in CLAIMS})
