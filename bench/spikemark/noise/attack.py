"""How an attack runs: what it sees of a network, through which derivatives it searches, and the case that it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn

from spikemark.core.adapter import Unsupported, device_of
from spikemark.errors import InputError
from spikemark.noise.backward import Backward, DerivedLayer, through
from spikemark.noise.case import Case, SearchLog
from spikemark.noise.searches import Loss, Search, Trail
from spikemark.noise.targets import seed_from

BATCH = 256
DRAWS = 10
MISREAD = 0.01
"""The share of samples which a network and its copy with another derivative may read differently."""


class Attacked:
    """A network and its encoder as one function of the samples; a `spikemark.noise.searches.Target`.

    An encoder that draws is asked `DRAWS` times at every point: an attack aims at the mean over encodings (expectation
    over transformation, Athalye et al., ICML 2018). Where an encoder cuts the gradient, it passes as if every step saw
    the samples themselves (straight through).

    Args:
        model: a copy, which is put in evaluation mode.
        case: whose encoder is used.
        generator: of the encodings' draws.
    """

    def __init__(self, model: nn.Module, case: Case, generator: torch.Generator) -> None:
        self.model = model.eval().requires_grad_(False)
        self.encode_step = case.encode_step
        self.device = device_of(model)
        self.random = torch.Generator().manual_seed(seed_from(generator))
        before = self.random.get_state()
        self.encode_step(case.inputs[:1], self.random)
        self.draws = 1 if torch.equal(self.random.get_state(), before) else DRAWS
        self.derivatives = [layer.derivative for layer in self.model.modules() if isinstance(layer, DerivedLayer)]

    @torch.no_grad()
    def scores(self, inputs: Tensor) -> Tensor:
        """Mean output rates ``[B, classes]``."""
        return torch.stack([self._once(inputs) for _ in range(self.draws)]).mean(0)

    def ascent(self, inputs: Tensor, labels: Tensor, loss: Loss) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, losses, and the losses' gradients, each a mean over the draws."""
        inputs = inputs.detach().requires_grad_()
        scores, losses, gradients = [], [], []
        for draw in range(self.draws):
            for derivative in self.derivatives:
                derivative.learning = draw == 0
            with torch.enable_grad():
                found = self._once(inputs)
                lost = loss(found, labels)
            gradients.append(torch.autograd.grad(lost.sum(), inputs)[0])
            scores.append(found.detach())
            losses.append(lost.detach())
        return torch.stack(scores).mean(0), torch.stack(losses).mean(0), torch.stack(gradients).mean(0)

    def keep(self, which: Tensor) -> bool:
        """See `spikemark.noise.searches.Target`."""
        return all(derivative.keep(which) for derivative in self.derivatives)

    def restart(self) -> None:
        """Other samples follow."""
        for derivative in self.derivatives:
            derivative.restart()

    def _once(self, inputs: Tensor) -> Tensor:
        encoded = self.encode_step(inputs, self.random).to(self.device)
        if inputs.requires_grad and not encoded.requires_grad:
            if encoded.shape[1:] != inputs.shape:
                raise Unsupported("attacks need an encoder that gradients pass, or one that keeps the samples' shape")
            encoded = encoded + (inputs - inputs.detach())
        outputs: Tensor = self.model(encoded)
        # In the order of the steps, as accuracy is measured (`spikemark.training.loop.scores`): ties must break alike.
        return outputs.cumsum(0)[-1] / len(outputs)


def search_through(
    case: Case, level: float, generator: torch.Generator, search: Search, backwards: Sequence[Backward] = (None,)
) -> AbstractContextManager[Case]:
    """The case with the samples that a search finds, through one derivative after the other.

    Samples that the network misreads as they are stay as they are. Each further derivative is used on the samples that
    none before it led to a success, so that the worst per sample over all of them is what is left.

    Args:
        case: a network and its samples; both are left as they are.
        level: the radius.
        generator: of all draws.
        search: what is done.
        backwards: the derivatives of the spike; None is the network's own.

    Raises:
        InputError: a copy with another derivative reads more than `MISREAD` of the samples differently.
        spikemark.core.adapter.Unsupported: see `spikemark.noise.backward.through`.
    """
    judged = Attacked(through(case, None), case, generator)
    inputs, labels = case.inputs.to(judged.device), case.labels.to(judged.device)
    read = _read(judged, inputs)
    whole = Trail.of(inputs)
    whole.fooled_at[read != labels] = 0
    attempted = whole.standing
    flat, asked = attempted.clone(), False
    for number, backward in enumerate(backwards):
        target = judged if backward is None else Attacked(through(case, backward), case, generator)
        if backward is not None and target.draws == 1:
            _check_copy(read, _read(target, inputs))
        for part in whole.standing.nonzero()[:, 0].split(BATCH):
            target.restart()
            trail = search.run(target, inputs[part], labels[part], level, generator)
            whole.take(part, trail, number * search.steps)
            if trail.flat is not None:
                flat[part], asked = flat[part] & trail.flat, True
    steps = len(backwards) * search.steps
    log = SearchLog(whole.fooled_at.cpu(), steps, flat[attempted].double().mean().item() if asked else None)
    return nullcontext(replace(case, inputs=whole.inputs.to(case.inputs.device), search=log))


def _read(target: Attacked, inputs: Tensor) -> Tensor:
    """The classes that a network reads."""
    return torch.cat([target.scores(part).argmax(1) for part in inputs.split(BATCH)])


def _check_copy(read: Tensor, by_copy: Tensor) -> None:
    share = (read != by_copy).double().mean().item()
    if share > MISREAD:
        raise InputError(f"the copy with another derivative reads {100 * share:.1f} % of the samples differently")
