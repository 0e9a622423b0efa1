"""What headings of tables and abbreviations mean, as tooltips of the pages."""

from __future__ import annotations

from collections.abc import Mapping

from spikemark.report.model import TIMES

_MEANINGS: Mapping[str, str] = {
    "rank": "systems that a paired test cannot tell apart share a rank",
    "system": "neuron, network and rule of learning",
    "neuron": "name in the catalogue",
    "accuracy (%)": "test accuracy, mean over seeds and test samples [95 % interval]",
    "against lif": "accuracy against LIF, by a paired test with correction; undecided is not equal",
    "under noise (%)": "accuracy, mean over the noises and severities of the suite",
    f"energy ({TIMES} lif)": "energy per sample under the profile 45nm-fp32, divided by that of LIF",
    "firing rate (%)": "spikes per neuron and time step",
    f"training ({TIMES})": "training speed of the fastest framework, divided by that of plain PyTorch",
    f"inference ({TIMES})": "inference speed of the fastest framework, divided by that of plain PyTorch",
    "memory (MiB)": "what one forward and backward pass adds, in the framework that needs least",
    "frameworks": "on which it was trained; their matched layers compute the same spikes",
    "seeds": "independent trainings",
    "n": "independent trainings",
    "route": "native: the framework's own class; composed: its functions in our order; custom: our subclass",
    "paper": "the publication that the neuron comes from",
    "mCE": "mean corruption error: errors over all noises and severities, divided by those of LIF",
    "relative mCE": "as mCE, of the errors that noise adds to the clean ones",
    "points lost": "clean accuracy minus accuracy under noise, in percentage points",
    "p": "after Holm's correction; below 0.05 is a difference",
    "area": "share of the margin over chance that is kept, from clean to the strongest severity",
    "half margin": "severity at which half of the margin over chance is lost",
    "track": "matched: the same neuron in every framework; native: the framework's own default neuron",
    "MACs": "multiply-accumulates per sample, where the input of a layer is a real number",
    "ACs": "accumulates per sample, where the input of a layer is spikes",
    "dense": "multiply-accumulates without any sparsity",
    "gain": "factor on the neuron's input that the search on validation data chose",
    "measured energy, J per sample": "joules that a counter of this machine told; estimates are of other hardware",
    "MDE": "minimum detectable effect",
}


def meaning(heading: str) -> str:
    """What a heading means; "" where it speaks for itself."""
    if heading.startswith("lost to "):
        return "percentage points of accuracy lost under this family of noise, mean over its noises and severities"
    return _MEANINGS.get(heading) or _MEANINGS.get(heading.partition(" (")[0], "")
