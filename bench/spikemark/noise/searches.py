"""Searches for samples that fool a network: with its gradient, by its scores alone, or by flipping single values.

All are written from the papers named in `spikemark.noise.adversary`. A search asks a `Target` and never stops at a
sample's last iterate: the first one that fools the network is kept, however the search goes on, and of a sample that
none fools the one with the largest loss. `level` is the radius of the ball around each sample, in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from spikemark.errors import InputError
from spikemark.noise.input import span

STEPS = 100  # of searches by gradient, and draws of the random control
QUERIES = 1000  # of the search by scores
ROUNDS = 20  # of the search by flips
TINY = 1e-12
_WORTHWHILE = 0.9  # the share of samples left above which leaving the others out costs more than it saves

Loss = Callable[[Tensor, Tensor], Tensor]
"""From scores ``[B, K]`` and labels ``[B]`` to what rises as a sample comes nearer to being misread, ``[B]``."""


def entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the scores as logits, ``[B]``."""
    return cross_entropy(scores, labels, reduction="none")


def margin(scores: Tensor, labels: Tensor) -> Tensor:
    """By how much the best wrong class exceeds the right one, ``[B]``."""
    right = scores.gather(1, labels[:, None])
    wrong = scores.scatter(1, labels[:, None], -torch.inf)
    return wrong.amax(1) - right[:, 0]


class Target(Protocol):
    """What is attacked."""

    def scores(self, inputs: Tensor) -> Tensor:
        """Scores ``[B, K]`` of samples ``[B, ...]``."""

    def ascent(self, inputs: Tensor, labels: Tensor, loss: Loss) -> tuple[Tensor, Tensor, Tensor]:
        """Scores ``[B, K]``, losses ``[B]`` and the losses' gradients ``[B, ...]``."""

    def keep(self, which: Tensor) -> bool:
        """Of the samples asked for last, go on with those of the mask `which`; False where none can be left out."""


@dataclass
class Trail:
    """What a search met.

    Attributes:
        inputs: of each sample the first iterate that fooled the network, else the one with the largest loss.
        fooled_at: after how many steps the network was first fooled, ``[B]``; -1 where it never was.
        losses: of `inputs`.
        flat: whether the first gradient of a sample was zero throughout, ``[B]``; None where no gradient was asked for.
    """

    inputs: Tensor
    fooled_at: Tensor
    losses: Tensor
    flat: Tensor | None = None

    @classmethod
    def of(cls, inputs: Tensor) -> Trail:
        """Before the first step."""
        count = len(inputs)
        never = torch.full((count,), -1, device=inputs.device)
        return cls(inputs.clone(), never, inputs.new_full((count,), -torch.inf))

    @property
    def standing(self) -> Tensor:
        """Whether a sample is not yet misread, ``[B]``."""
        return self.fooled_at < 0

    def see(
        self,
        step: int,
        inputs: Tensor,
        labels: Tensor,
        scores: Tensor,
        losses: Tensor,
        which: Tensor | slice = slice(None),
    ) -> None:
        """An iterate of every sample, or of those of the indices `which`."""
        places = torch.arange(len(self.inputs), device=self.inputs.device)[which]
        standing = self.standing[places]
        fooled = standing & (scores.argmax(1) != labels)
        kept = fooled | (standing & (losses > self.losses[places]))
        self.inputs[places[kept]], self.losses[places[kept]] = inputs[kept], losses[kept]
        self.fooled_at[places[fooled]] = step

    def take(self, which: Tensor, other: Trail, made: int) -> None:
        """What another search found on the samples `which` after `made` steps of those before it."""
        fooled = other.fooled_at >= 0
        better = fooled | (other.losses > self.losses[which])
        self.inputs[which[better]], self.losses[which[better]] = other.inputs[better], other.losses[better]
        self.fooled_at[which[fooled]] = made + other.fooled_at[fooled]


@dataclass(frozen=True)
class Search:
    """A search.

    Attributes:
        function: from target, samples ``[B, ...]``, labels ``[B]``, radius, draws (on the CPU) and steps to the trail.
        steps: that it makes at most.
    """

    function: Callable[[Target, Tensor, Tensor, float, torch.Generator, int], Trail]
    steps: int

    def run(self, target: Target, inputs: Tensor, labels: Tensor, level: float, generator: torch.Generator) -> Trail:
        """What it finds within the radius `level` around each sample."""
        return self.function(target, inputs, labels, level, generator, self.steps)


def checkpoints(steps: int) -> list[int]:
    """After which steps `apgd` looks back: the first after 22 %, then in intervals that shrink by 3 % down to 6 %."""
    interval, found, at = max(1, int(0.22 * steps)), [], 0
    while at + interval < steps:
        at += interval
        found.append(at)
        interval = max(interval - max(1, int(0.03 * steps)), int(0.06 * steps), 1)
    return found


def apgd(target: Target, inputs: Tensor, labels: Tensor, level: float, generator: torch.Generator, steps: int) -> Trail:
    """Ascent along the gradient's sign with momentum and a step that halves where it no longer helps (Auto-PGD).

    At each checkpoint a sample's step halves, and the search goes back to its best point, if the loss rose in fewer
    than 3/4 of the steps since the last one, or if neither the step nor the best loss has changed since.
    """
    trail, at, lowest = Trail.of(inputs), _start(inputs, level, generator), 0
    low, high = _ball(inputs, level)
    scores, losses, gradient = target.ascent(at, labels, entropy)
    trail.see(0, at, labels, scores, losses)
    trail.flat = _flat(gradient)
    before, best, best_gradient = at, at.clone(), gradient.clone()
    step, rises = torch.full_like(losses, 2 * level), torch.zeros_like(losses)
    top, top_before, halved = losses.clone(), losses.clone(), torch.zeros_like(trail.standing)
    left, looks = torch.arange(len(inputs), device=inputs.device), checkpoints(steps)
    for number in range(1, steps + 1):
        if not trail.standing.any():
            break
        on = _going_on(target, trail, left)
        if on is not None:
            left, low, high, labels, at, before, losses, gradient = (
                part[on] for part in (left, low, high, labels, at, before, losses, gradient)
            )
            best, best_gradient, step, rises, top, top_before, halved = (
                part[on] for part in (best, best_gradient, step, rises, top, top_before, halved)
            )
        along = (at + _like(step, at) * gradient.sign()).clamp(low, high)
        share = 0.75 if number > 1 else 1.0
        moved = (at + share * (along - at) + (1 - share) * (at - before)).clamp(low, high)
        before, at, last = at, moved, losses
        scores, losses, gradient = target.ascent(at, labels, entropy)
        trail.see(number, at, labels, scores, losses, left)
        rises += losses > last
        better = losses > top
        best[better], best_gradient[better], top[better] = at[better], gradient[better], losses[better]
        if number in looks:
            halving = (rises <= 0.75 * (number - lowest)) | (~halved & (top <= top_before))
            step[halving] /= 2
            at[halving], gradient[halving], losses = best[halving], best_gradient[halving], losses.where(~halving, top)
            halved, top_before, rises, lowest = halving, top.clone(), torch.zeros_like(rises), number
    return trail


def sa_pgd(
    target: Target, inputs: Tensor, labels: Tensor, level: float, generator: torch.Generator, steps: int
) -> Trail:
    """Ascent by momentum over the root of accumulated squares, every value's move clipped to the step (SA-PGD).

    Gradients are divided by their mean size in the sample; momentum keeps 0.5, squares 0.8, as sums. The step begins
    with the radius and halves at each checkpoint of `apgd`. A gradient of zero moves nothing.
    """
    trail, at = Trail.of(inputs), _start(inputs, level, generator)
    low, high = _ball(inputs, level)
    momentum, squares = torch.zeros_like(at), torch.zeros_like(at)
    step, left, looks = level, torch.arange(len(inputs), device=inputs.device), checkpoints(steps)
    for number in range(steps + 1):
        scores, losses, gradient = target.ascent(at, labels, entropy)
        trail.see(number, at, labels, scores, losses, left)
        if number == 0:
            trail.flat = _flat(gradient)
        if number == steps or not trail.standing.any():
            break
        on = _going_on(target, trail, left)
        if on is not None:
            left, low, high, labels, at, gradient, momentum, squares = (
                part[on] for part in (left, low, high, labels, at, gradient, momentum, squares)
            )
        momentum = 0.5 * momentum + gradient / _like(_mean(gradient.abs()), at)
        squares = 0.8 * squares + gradient.square() / _like(_mean(gradient.square()), at)
        move = step * momentum / (squares.sqrt() + TINY)
        at = (at + move.clamp(-step, step)).clamp(low, high)
        step = step / 2 if number + 1 in looks else step
    return trail


def _going_on(target: Target, trail: Trail, left: Tensor) -> Tensor | None:
    """Which of the samples `left` a search goes on with, ``[B]``, once many of them are misread; None for all."""
    standing = trail.standing[left]
    many = int(standing.sum()) < _WORTHWHILE * len(left)
    return standing if many and target.keep(standing) else None


def square(
    target: Target, inputs: Tensor, labels: Tensor, level: float, generator: torch.Generator, steps: int
) -> Trail:
    """Random search: a square of ever smaller side moves up or down, and stays where the margin does not shrink.

    It asks for scores alone. Margins of spike counts come in few values, so that equal ones are accepted as well; data
    without rows and columns change by single values. The first iterate is of vertical stripes at the ball's border.
    """
    trail, left = Trail.of(inputs), torch.arange(len(inputs), device=inputs.device)
    low, high = _ball(inputs, level)
    stripes = (*inputs.shape[:2], 1, *inputs.shape[3:]) if inputs.dim() == 4 else inputs.shape
    at = (inputs + level * _signs(stripes, inputs, generator)).clamp(low, high)
    margins = _ask(target, trail, 0, at, labels, left)
    for number in range(1, steps + 1):
        on = trail.standing[left]
        if not on.all():
            left, low, high, labels, at, margins = (part[on] for part in (left, low, high, labels, at, margins))
        if not len(left):
            break
        moved = torch.add(at, _patch(at, _area(number, steps), generator), alpha=2 * level).clamp_(low, high)
        found = _ask(target, trail, number, moved, labels, left)
        accepted = found >= margins
        at[accepted], margins[accepted] = moved[accepted], found[accepted]
    return trail


def random_signs(
    target: Target, inputs: Tensor, labels: Tensor, level: float, generator: torch.Generator, steps: int
) -> Trail:
    """The control: corners of the ball drawn at random, as many as searches by gradient take steps."""
    trail = Trail.of(inputs)
    for number in range(1, steps + 1):
        left = trail.standing.nonzero()[:, 0]
        if not len(left):
            break
        clean = inputs[left]
        at = (clean + level * _signs(clean.shape, clean, generator)).clamp(0, 1)
        _ask(target, trail, number, at, labels[left], left)
    return trail


def flips(
    target: Target, inputs: Tensor, labels: Tensor, level: float, generator: torch.Generator, steps: int
) -> Trail:
    """Flips of 0/1 values, at most the fraction `level` of a sample's, tried one by one before they are made (SDA).

    In round n the 10 n values whose flip promises most by the gradient of the margin are flipped singly; those that
    help stay flipped. Once the sample is misread, flips of the least effect are taken back as long as it stays so. Each
    sample is searched on its own; one that takes more flips than `level` allows is left as it is.

    Raises:
        InputError: values other than 0 and 1.
    """
    if bool(((inputs != 0) & (inputs != 1)).any()):
        raise InputError("flips need samples of 0 and 1; bin events in the mode binary")
    trail = Trail.of(inputs)
    flat = torch.zeros_like(trail.standing)
    for index in range(len(inputs)):
        fooling, rounds, flat[index] = _flipped(target, inputs[index], labels[index], level, generator, steps)
        if fooling is not None:
            trail.inputs[index], trail.fooled_at[index] = fooling, rounds
    trail.flat = flat
    return trail


def _flipped(
    target: Target, sample: Tensor, label: Tensor, level: float, generator: torch.Generator, steps: int
) -> tuple[Tensor | None, int, Tensor]:
    """A misread version of one sample if there is one within `level`, the rounds made, and whether the slope was 0."""
    allowed = max(1, int(level * sample.numel()))
    original = sample.flatten()
    chosen = torch.zeros_like(original, dtype=torch.bool)
    effects = torch.zeros_like(original)
    flat = torch.tensor(False)

    def read(masks: Tensor) -> tuple[Tensor, Tensor]:
        """Margins and whether misread, of the sample with the values of each mask ``[K, values]`` flipped."""
        flipped = torch.where(masks, 1 - original, original).view(-1, *sample.shape)
        scores = torch.cat([target.scores(part) for part in flipped.split(256)])
        labels = label.expand(len(scores))
        return margin(scores, labels), scores.argmax(1) != labels

    for number in range(1, steps + 1):
        now = torch.where(chosen, 1 - original, original).view(1, *sample.shape)
        _, before, gradient = target.ascent(now, label[None], margin)
        flat = flat if number > 1 else _flat(gradient)[0]
        promise = _promise(gradient.flatten(), now.flatten(), generator).masked_fill_(chosen, -1)
        candidates = promise.topk(min(10 * number, int((promise >= 0).sum()))).indices
        if not len(candidates):
            break
        single = chosen.repeat(len(candidates), 1)
        single[torch.arange(len(candidates)), candidates] = True
        after, _ = read(single)
        effects[candidates] = after - before
        chosen[candidates] = True
        chosen &= effects >= 0
        if bool(read(chosen[None])[1]):
            kept = _least(chosen, effects, lambda mask: bool(read(mask[None])[1]))
            fits = int(kept.sum()) <= allowed
            return (torch.where(kept, 1 - original, original).view(sample.shape) if fits else None), number, flat
        if int(chosen.sum()) > 4 * allowed:
            break
    return None, steps, flat


def _promise(gradient: Tensor, values: Tensor, generator: torch.Generator) -> Tensor:
    """What a flip of each value promises; -1 where it would do harm, a small random number where nothing is known."""
    gain = (1 - 2 * values) * gradient
    known = gain.abs()[gain != 0]
    smallest = known.min() if len(known) else torch.ones((), device=gain.device)
    guesses = smallest * torch.rand(gain.shape, generator=generator).to(gain.device)
    return torch.where(gain == 0, guesses, gain.masked_fill(gain < 0, -1))


def _least(chosen: Tensor, effects: Tensor, fools: Callable[[Tensor], bool]) -> Tensor:
    """The flips that are left when as many of the least effect as possible are taken back, by bisection."""
    order = chosen.nonzero()[:, 0]
    order = order[effects[order].abs().argsort()]

    def without(count: int) -> Tensor:
        mask = chosen.clone()
        mask[order[:count]] = False
        return mask

    back, most = 0, len(order)
    while back < most:
        middle = (back + most + 1) // 2
        back, most = (middle, most) if fools(without(middle)) else (back, middle - 1)
    return without(back)


def _ask(target: Target, trail: Trail, step: int, at: Tensor, labels: Tensor, left: Tensor) -> Tensor:
    """Margins of iterates of the samples `left`, which the trail is shown."""
    scores = target.scores(at)
    margins = margin(scores, labels)
    trail.see(step, at, labels, scores, margins, left)
    return margins


def _area(query: int, queries: int) -> float:
    """The fraction of the picture that a square covers: 0.8, halved after set shares of the queries."""
    halvings = sum(query > share * queries / 10_000 for share in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000))
    return 0.8 * 0.5**halvings


def _patch(inputs: Tensor, area: float, generator: torch.Generator) -> Tensor:
    """-1 or 1 inside a square of every image, one sign per channel, and 0 outside; of other data in a single place."""
    if inputs.dim() != 4:
        values = inputs.flatten(1).shape[1]
        places = torch.randint(values, (len(inputs), 1), generator=generator).to(inputs.device)
        signs = _signs((len(inputs), 1), inputs, generator)
        return torch.zeros_like(inputs).flatten(1).scatter(1, places, signs).view_as(inputs)
    height, width = inputs.shape[-2:]
    side = min(max(1, round((area * height * width) ** 0.5)), height, width)
    draws = torch.rand((len(inputs), 2), generator=generator)
    inside = span(height, side, draws[:, :1])[:, :, None] & span(width, side, draws[:, 1:])[:, None, :]
    return inside[:, None].to(inputs) * _signs((*inputs.shape[:2], 1, 1), inputs, generator)


def _start(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """A random point of the ball, one value of each sample at its border."""
    drawn = 2 * torch.rand(inputs.shape, generator=generator) - 1
    largest = drawn.flatten(1).abs().amax(1).clamp(min=TINY)
    return (inputs + level * (drawn / _like(largest, drawn)).to(inputs.device)).clamp(0, 1)


def _signs(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    return (1.0 - 2.0 * torch.randint(2, shape, generator=generator)).to(like)


def _ball(inputs: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """The least and the largest value that each value may become within radius and range."""
    return (inputs - level).clamp(0, 1), (inputs + level).clamp(0, 1)


def _like(values: Tensor, inputs: Tensor) -> Tensor:
    """One number per sample ``[B]``, to be multiplied with ``[B, ...]``."""
    return values.view(-1, *(1 for _ in inputs.shape[1:]))


def _mean(values: Tensor) -> Tensor:
    """Of each sample, at least a tiny number."""
    return values.flatten(1).mean(1).clamp(min=TINY)


def _flat(gradient: Tensor) -> Tensor:
    return (gradient == 0).flatten(1).all(1)


APGD, SA_PGD, RANDOM = Search(apgd, STEPS), Search(sa_pgd, STEPS), Search(random_signs, STEPS)
SQUARE, FLIPS = Search(square, QUERIES), Search(flips, ROUNDS)
