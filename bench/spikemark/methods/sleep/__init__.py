"""Sleep as a regulator of weights: a recurrent network that learns by spike timing, and a callback for any other.

Massey, Hubin, Nichele and Sæbø 2026 (arXiv 2601.08447) pause learning now and then, let the network run on membrane
noise alone and pull every weight towards a baseline. `model` and `rule` are their recurrent network, `surrogate` is
the same idea beside backpropagation. Equations, choices and figures: docs/sleep.md. Nothing here knows data sets.
"""

from spikemark.core.neurons import NetworkNeuron
from spikemark.methods.sleep.claims import CLAIMS
from spikemark.methods.sleep.systems import SOURCE, SYSTEMS
from spikemark.registry import register, register_all

register(
    "neuron",
    "adapting-lif",
    NetworkNeuron("LIF whose threshold its own spikes raise, compiled", source=SOURCE),
)
register("network", "sleep-stdp", "spikemark.methods.sleep.network:sleep_network")
register("network", "resized-mlp", "spikemark.methods.sleep.network:resized_mlp")
register("rule", "sleep-stdp", "spikemark.methods.sleep.options:SleepStdp")
register("rule", "bptt+sleep", "spikemark.methods.sleep.options:BpttSleep")
register_all("system", SYSTEMS)
register_all("claim", {claim.name: claim for claim in CLAIMS})
