"""Rate-based backpropagation (Yu, Liu, Wang, Li and Wang, NeurIPS 2024).

The spikes are computed without a graph; backwards, the network is an ordinary one on mean rates, run once, in which
each neuron has the slope that it would have in backpropagation through time if its input were constant.
"""

from spikemark.methods.rate_based.claims import CLAIMS
from spikemark.methods.rate_based.neurons import NEURONS
from spikemark.methods.rate_based.systems import SYSTEMS
from spikemark.registry import register, register_all

register_all("neuron", NEURONS)
register("rule", "rate-m", "spikemark.methods.rate_based.options:RateM")
register("rule", "rate-s", "spikemark.methods.rate_based.options:RateS")
register_all("system", SYSTEMS)
register_all("claim", {claim.name: claim for claim in CLAIMS})
