"""Sleep beside backpropagation: `sleep` for the stages of any network, and the rule "bptt+sleep" that calls it.

In a sleep the network runs on zero input and membrane noise; pairs of spikes are gathered by decaying traces, the
weights move once by them, averaged over the copies that slept, and then by the power law towards their baseline
(the comparison network of Massey et al. 2026, arXiv 2601.08447, there for snnTorch alone).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from spikemark.core.adapter import SpikingLayer
from spikemark.core.streams import generator
from spikemark.errors import InputError
from spikemark.methods.sleep.model import RUNAWAY_RATE
from spikemark.methods.sleep.options import BpttSleep
from spikemark.networks.stages import Stage
from spikemark.training.bptt import GradientLearner
from spikemark.training.rule import Protocol

Seen = dict[Stage, tuple[Tensor, Tensor]]
"""What went into the synapses of a stage, and the spikes of its neurons, both ``[T, B, ...]``."""


@dataclass(frozen=True)
class Slept:
    """What a sleep saw.

    Attributes:
        silent: fraction of neurons without a spike.
        runaway: fraction of neurons with more than `RUNAWAY_RATE` spikes per step.
    """

    silent: float
    runaway: float


@torch.no_grad()
def sleep(model: nn.Module, still: Tensor, options: BpttSleep, random: torch.Generator) -> Slept:
    """One sleep of a network of stages, whichever framework computes its neurons; its weights change in place.

    Norms use their running statistics, which do not change; biases, norms, thresholds and decays are left alone.

    Args:
        model: built of `spikemark.networks.Stage`.
        still: input of the shape to sleep with, ``[T, B, *shape]``; its values do not matter.
        options: noise, plasticity and decay; `fraction`, `schedule`, `steps` and `batch` are up to the caller.
        random: on the CPU; the source of the noise.

    Raises:
        InputError: the network has no stage with spiking neurons, or one whose noise cannot pass through its input.
    """
    stages = [module for module in model.modules() if isinstance(module, Stage)]
    spiking = [stage for stage in stages if isinstance(stage.neurons, SpikingLayer)]
    if not spiking:
        raise InputError(f"rule: sleep needs stages with spiking neurons; the {type(model).__name__} has none")
    training = model.training
    model.eval()
    try:
        with _watched(spiking, options.noise, random) as seen:
            model(torch.zeros_like(still))
    finally:
        model.train(training)
    for stage in spiking:
        pre, post = seen[stage]
        _weight_of(stage).add_(options.learning_rate * pair_changes(stage.synapses, pre, post, options))
    for stage in stages:
        power_law(_weight_of(stage), options.baseline, options.decay)
    rates = torch.cat([post.mean((0, 1)).flatten() for _, post in seen.values()])
    return Slept((rates == 0).double().mean().item(), (rates > RUNAWAY_RATE).double().mean().item())


def _weight_of(stage: Stage) -> Tensor:
    weight = stage.synapses.weight
    assert isinstance(weight, Tensor)
    return weight


def pair_changes(synapses: nn.Module, pre: Tensor, post: Tensor, options: BpttSleep) -> Tensor:
    """Sum over steps and pairs of ``A+ x_pre s_post - A- s_pre x_post``, averaged over the batch.

    Traces include the step's own spikes: ``x[t] = exp(-1 / tau) x[t-1] + s[t]``. Which weight joins which pair is what
    the layer's own gradient says, so convolutions sum over positions.

    Args:
        synapses: a layer that is linear in its ``weight``.
        pre: its inputs, ``[T, B, *in_shape]``.
        post: spikes of the neurons behind it, ``[T, B, *out_shape]``.
        options: A+, A- and the time constants.

    Returns:
        Changes, of the weight's shape.
    """
    weight = synapses.weight
    assert isinstance(weight, Tensor)
    variable = weight.detach().clone().requires_grad_()

    def joined(before: Tensor, after: Tensor) -> Tensor:
        outputs = functional_call(synapses, {"weight": variable}, (before.flatten(0, 1),))
        total: Tensor = (outputs * after.flatten(0, 1)).sum()
        return total

    with torch.enable_grad():
        strengthened = joined(traces(pre, options.tau_pre), post)
        weakened = joined(pre, traces(post, options.tau_post))
        total = options.potentiation * strengthened - options.depression * weakened
        (changes,) = torch.autograd.grad(total, variable)
    return changes / pre.shape[1]


def traces(spikes: Tensor, tau: float) -> Tensor:
    """Spikes ``[T, ...]`` filtered by ``x[t] = exp(-1 / tau) x[t-1] + s[t]``."""
    keep = math.exp(-1 / tau)
    values = [spikes[0]]
    for now in spikes[1:]:
        values.append(keep * values[-1] + now)
    return torch.stack(values)


def power_law(weight: Tensor, baseline: float, decay: float) -> None:
    """``|w| <- w* (|w| / w*) ** lambda`` in place; signs stay, and zeros."""
    weight.copy_(weight.sign() * baseline * (weight.abs() / baseline).pow(decay))


@contextmanager
def _watched(
    stages: list[Stage], noise: float, random: torch.Generator
) -> Iterator[dict[Stage, tuple[Tensor, Tensor]]]:
    """Noise on the potentials of every stage, and what goes into its synapses and comes out of its neurons."""
    seen: Seen = {}
    handles: list[Any] = []
    for stage in stages:
        pre: list[Tensor] = []
        handles += [
            stage.synapses.register_forward_pre_hook(lambda layer, given, pre=pre: pre.append(given[0])),
            stage.neurons.register_forward_pre_hook(_disturbing(noise, random)),
            stage.neurons.register_forward_hook(
                lambda layer, given, spikes, stage=stage, pre=pre: seen.__setitem__(
                    stage, (pre[0].unflatten(0, spikes.shape[:2]), spikes)
                )
            ),
        ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _disturbing(noise: float, random: torch.Generator) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor]]:
    """A hook that adds the noise to what each step carries over: through the current, for any framework.

    ``u = a (v + xi) + b x`` is ``a v + b (x + xi a / b)``.
    """

    def hook(layer: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
        assert isinstance(layer, SpikingLayer)
        (currents,) = given
        gain = layer.decay / (1 - layer.decay) if layer.spec.decay_input else layer.decay
        if not torch.isfinite(gain).all():
            raise InputError("decay: neurons that keep all of their potential and take no input cannot be disturbed")
        drawn = torch.randn(currents.shape, generator=random, dtype=currents.dtype).to(currents.device)
        return (currents + noise * gain * drawn,)

    return hook


class BpttSleepLearner(GradientLearner[BpttSleep]):
    """Backpropagation through time that sleeps after some of its steps.

    Args:
        model: of stages.
        rule: its options.
        protocol: epochs, batch size and encoding.
        seed: of the run.
    """

    def __init__(self, model: nn.Module, rule: BpttSleep, protocol: Protocol, seed: int) -> None:
        super().__init__(model, rule, protocol, seed)
        self._random = generator("bptt+sleep", "noise", seed)
        self._steps = 0
        self._sleeps = 0
        self._last: Slept | None = None

    def learn(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Learner.learn`; the loss and the scores are those before the sleep."""
        learned = super().learn(inputs, labels)
        self._steps += 1
        options = self.rule
        if options.due(self._steps):
            steps, batch = options.steps or inputs.shape[0], options.batch or inputs.shape[1]
            still = inputs.new_zeros((steps, batch, *inputs.shape[2:]))
            self._last = sleep(self.model, still, options, self._random)
            self._sleeps += 1
        return learned

    def diagnostics(self) -> Mapping[str, float]:
        """Health of the network after its last epoch; see docs/sleep.md for what the names mean."""
        weights = torch.cat(
            [_weight_of(m).detach().abs().flatten() for m in self.model.modules() if isinstance(m, Stage)]
        )
        found = {
            "mean_weight": weights.mean().item(),
            "sleeps": float(self._sleeps),
            "training_steps": float(self._steps),
        }
        if self._last is not None:
            found |= {"silent_neurons": self._last.silent, "runaway_neurons": self._last.runaway}
        return found
