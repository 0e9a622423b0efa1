"""What matched semantics cost: each adapter's layer against the same framework's own fixed-threshold layer.

The own layer is what a user of the framework would write for the neuron without a learnable threshold: same decay,
reset, scaling of the input and, where the framework has it, the same surrogate. Where it differs from the spec:

- SpikingJelly fires at the threshold, also where the spec (`lt`) fires above it.
- snnTorch always detaches the reset, also where the spec (`stl`, `lt`) does not; it has no rectangle, so its own
  layer for `lt` uses its arctangent. Its own layer scales the input outside `Leaky`, once for all steps.
- Norse knows neither surrogate, so its own layers use its SuperSpike; it always scales the input by ``1 - a``, so
  where the spec does not, the threshold is scaled too; and it passes the gradient through the reset in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikemark.core.neurons import NEURONS, NeuronSpec
from spikemark.measures.speed.layer_work import LayerWork, layer_run
from spikemark.measures.speed.timing import Budget, interleave

from .conftest import contender

STEPS, BATCH, SHAPE = 16, 64, (1024,)
NEURON_NAMES = ("lif", "plif", "stl", "lt")
GOAL = 1.10


class SpikingJellyOwn(nn.Module):
    """`LIFNode`, or `ParametricLIFNode` where the decay is learned, in multi-step mode."""

    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__()
        from spikingjelly.activation_based import neuron, surrogate

        slope = surrogate.ATan(2.0) if spec.surrogate.name == "atan" else surrogate.Rect(1.0)
        options = {
            "decay_input": spec.decay_input,
            "v_threshold": spec.threshold.init,
            "v_reset": 0.0,
            "surrogate_function": slope,
            "detach_reset": spec.detach_reset,
            "step_mode": "m",
        }
        tau = 1 / (1 - spec.decay.init)
        if spec.decay.learned:
            self.node = neuron.ParametricLIFNode(init_tau=tau, **options)
        else:
            self.node = neuron.LIFNode(tau=tau, **options)

    def forward(self, currents: Tensor) -> Tensor:
        spikes: Tensor = self.node(currents)
        self.node.reset()
        return spikes


class SnnTorchOwn(nn.Module):
    """`Leaky` in a loop, reset to zero."""

    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__()
        from snntorch import Leaky, surrogate

        self.decay_input = spec.decay_input
        self.leaky = Leaky(
            beta=spec.decay.init,
            threshold=spec.threshold.init,
            spike_grad=surrogate.atan(alpha=2.0),
            reset_mechanism="zero",
            learn_beta=spec.decay.learned,
        )

    def forward(self, currents: Tensor) -> Tensor:
        if self.decay_input:
            currents = (1 - self.leaky.beta) * currents
        mem, out = self.leaky.reset_mem(), []
        for x in currents:
            spikes, mem = self.leaky(x, mem)
            out.append(spikes)
        return torch.stack(out)


class NorseOwn(nn.Module):
    """`LIFBoxCell`, lifted over time."""

    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__()
        from norse.torch import Lift
        from norse.torch.functional.lif_box import LIFBoxParameters
        from norse.torch.module.lif_box import LIFBoxCell

        leak = torch.as_tensor(1 - spec.decay.init)
        self.leak = nn.Parameter(leak) if spec.decay.learned else leak
        scale = 1 if spec.decay_input else 1 - spec.decay.init
        parameters = LIFBoxParameters(tau_mem_inv=self.leak, v_th=torch.as_tensor(scale * spec.threshold.init))
        self.cells = Lift(LIFBoxCell(parameters, dt=1.0))

    def forward(self, currents: Tensor) -> Tensor:
        spikes: Tensor = self.cells(currents)[0]
        return spikes


OWN: dict[str, Callable[[NeuronSpec], nn.Module]] = {
    "spikingjelly": SpikingJellyOwn,
    "snntorch": SnnTorchOwn,
    "norse": NorseOwn,
}


@pytest.mark.parametrize("name", OWN)
def test_matched_layer_against_the_frameworks_own(benchmark: Any, tell: Callable[[str], None], name: str) -> None:
    adapter = contender(name)
    benchmark.group = "own paths"

    def run() -> dict[str, Any]:
        ratios = {}
        for neuron in NEURON_NAMES:
            work = LayerWork(adapter, NEURONS[neuron], SHAPE, STEPS, BATCH)
            currents = work.currents(BATCH)
            runs = {
                "own": layer_run(OWN[name](NEURONS[neuron]), currents, "forward+backward"),
                "matched": layer_run(work.layer(), currents, "forward+backward"),
            }
            ratios[neuron] = interleave(runs, Budget(4.0))
        return ratios

    results = benchmark.pedantic(run, rounds=1)
    ratios = {neuron: timings.ratio("matched") for neuron, timings in results.items()}
    mean = math.exp(sum(math.log(ratio.value) for ratio in ratios.values()) / len(ratios))
    benchmark.extra_info["ratios"] = {neuron: [r.low, r.value, r.high] for neuron, r in ratios.items()}
    benchmark.extra_info["geometric_mean"] = mean
    cells = [f"{neuron} {r.value:.2f} [{r.low:.2f}, {r.high:.2f}]" for neuron, r in ratios.items()]
    tell(f"{name} matched / own fixed threshold: {', '.join(cells)}; geometric mean {mean:.2f} (goal {GOAL:.2f})")
    assert mean <= GOAL
