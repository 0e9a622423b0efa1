"""Searches against slow readings of their papers, one sample at a time, on functions whose gradient is known."""

import itertools
import math
from dataclasses import dataclass, field

import pytest
import torch

from spikemark.errors import InputError
from spikemark.noise.searches import (
    APGD,
    FLIPS,
    RANDOM,
    SA_PGD,
    SQUARE,
    Search,
    apgd,
    checkpoints,
    entropy,
    margin,
    random_signs,
    sa_pgd,
    square,
)

LEVEL = 0.2


@dataclass
class Waves:
    """Never misread; its loss has many tops. Keeps the points at which it was asked."""

    asked: list = field(default_factory=list)

    def scores(self, inputs):
        return torch.tensor([[1.0, 0.0]]).expand(len(inputs), 2)

    def ascent(self, inputs, labels, loss):
        self.asked.append(inputs.clone())
        return self.scores(inputs), self.losses(inputs), 9 * torch.cos(9 * inputs) + 2 * torch.cos(31 * inputs)

    def keep(self, which):
        return False

    def losses(self, inputs):
        return (torch.sin(9 * inputs) + 2 / 31 * torch.sin(31 * inputs)).flatten(1).sum(1)


@dataclass
class Linear:
    """Class 1 where the weighted sum is above `bias`."""

    weights: torch.Tensor
    bias: float
    leaves_out: bool = True
    asked: list = field(default_factory=list)

    def scores(self, inputs):
        self.asked.append(inputs.clone())
        high = (inputs * self.weights).flatten(1).sum(1) - self.bias
        return torch.stack((-high, high), dim=1)

    def ascent(self, inputs, labels, loss):
        inputs = inputs.clone().requires_grad_()
        scores = self.scores(inputs)
        losses = loss(scores, labels)
        return scores.detach(), losses.detach(), torch.autograd.grad(losses.sum(), inputs)[0]

    def keep(self, which):
        return self.leaves_out


def draws():
    return torch.Generator().manual_seed(3)


def pictures(count=7, channels=1, side=6):
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(1))


def zeros(inputs):
    return torch.zeros(len(inputs), dtype=torch.long)


def test_checkpoints_of_auto_attack():
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(50) == [11, 21, 30, 38, 45]
    assert checkpoints(1) == []


def test_losses_by_hand():
    scores, labels = torch.tensor([[0.5, 0.1, 0.2], [0.3, 0.3, 0.0]]), torch.tensor([0, 1])
    assert margin(scores, labels).tolist() == pytest.approx([-0.3, 0.0])
    sums = [sum(math.exp(value) for value in row) for row in scores.tolist()]
    assert entropy(scores, labels).tolist() == pytest.approx([math.log(sums[0]) - 0.5, math.log(sums[1]) - 0.3])


def clipped(value, centre):
    return min(max(value, centre - LEVEL, 0.0), centre + LEVEL, 1.0)


def wave(values):
    return sum(math.sin(9 * x) + 2 / 31 * math.sin(31 * x) for x in values)


def slope(values):
    return [9 * math.cos(9 * x) + 2 * math.cos(31 * x) for x in values]


def slow_apgd(centre, start, steps):
    """Algorithm 1 of Croce and Hein for one sample, a list of numbers; the points at which it asks for a gradient."""
    looks, step, halved = checkpoints(steps), 2 * LEVEL, False
    now, before, asked = start, start, [start]
    best, top, top_then = start, wave(start), wave(start)
    value, rises, last_look = wave(start), 0, 0
    for k in range(steps):
        share = 0.75 if k else 1.0
        stepped = [clipped(x + step * ((g > 0) - (g < 0)), c) for x, g, c in zip(now, slope(now), centre, strict=True)]
        moved = [
            clipped(x + share * (y - x) + (1 - share) * (x - b), c)
            for x, y, b, c in zip(now, stepped, before, centre, strict=True)
        ]
        before, now = now, moved
        asked.append(now)
        rises += wave(now) > value
        value = wave(now)
        if value > top:
            best, top = now, value
        if k + 1 in looks:
            if rises <= 0.75 * (k + 1 - last_look) or (not halved and top <= top_then):
                step, now, value, halved = step / 2, best, top, True
            else:
                halved = False
            top_then, rises, last_look = top, 0, k + 1
    return asked


def slow_sa_pgd(centre, start, steps):
    """SA-PGD for one sample."""
    looks, step, now, asked = checkpoints(steps), LEVEL, start, []
    momentum = squares = [0.0] * len(start)
    for k in range(steps + 1):
        asked.append(now)
        gradient = slope(now)
        size, power = (sum(abs(g) ** p for g in gradient) / len(gradient) for p in (1, 2))
        momentum = [0.5 * m + g / size for m, g in zip(momentum, gradient, strict=True)]
        squares = [0.8 * v + g * g / power for v, g in zip(squares, gradient, strict=True)]
        moves = [step * m / math.sqrt(v) for m, v in zip(momentum, squares, strict=True)]
        now = [clipped(x + min(max(d, -step), step), c) for x, d, c in zip(now, moves, centre, strict=True)]
        step = step / 2 if k + 1 in looks else step
    return asked


@pytest.mark.parametrize("steps", [1, 30, 50])
@pytest.mark.parametrize(("search", "slow"), [(apgd, slow_apgd), (sa_pgd, slow_sa_pgd)])
def test_searches_by_gradient_take_the_steps_of_their_papers(search, slow, steps):
    inputs, target = pictures().double(), Waves()
    trail = Search(search, steps).run(target, inputs, zeros(inputs), LEVEL, draws())
    asked = torch.stack(target.asked).flatten(2)
    for index, centre in enumerate(inputs.flatten(1).tolist()):
        expected = torch.tensor(slow(centre, asked[0, index].tolist(), steps), dtype=torch.float64)
        torch.testing.assert_close(asked[:, index], expected, atol=1e-4, rtol=0)  # rounding grows near a top
    assert (trail.fooled_at == -1).all()
    losses = torch.stack([target.losses(point) for point in target.asked])
    torch.testing.assert_close(trail.losses.double(), losses.amax(0), atol=1e-6, rtol=0)
    torch.testing.assert_close(target.losses(trail.inputs), losses.amax(0))


def test_random_starts_reach_the_border_of_the_ball():
    inputs, target = torch.full((5, 1, 6, 6), 0.5), Waves()
    Search(apgd, 1).run(target, inputs, zeros(inputs), LEVEL, draws())
    assert (target.asked[0] - 0.5).abs().flatten(1).amax(1).tolist() == pytest.approx([LEVEL] * 5)


BALLS = [APGD, SA_PGD, SQUARE, RANDOM]


@pytest.mark.parametrize("search", BALLS, ids=lambda search: search.function.__name__)
@pytest.mark.parametrize("shape", [(6, 2, 5, 7), (6, 9)])
def test_no_point_leaves_the_ball_or_the_range(search, shape):
    random = torch.Generator().manual_seed(5)
    inputs, weights = torch.rand(shape, generator=random), torch.randn(shape[1:], generator=random)
    target = Linear(weights, 100.0)  # never misread, so that all steps are made
    trail = Search(search.function, 60).run(target, inputs, zeros(inputs), LEVEL, draws())
    clean = {tuple(sample.flatten().tolist()): sample for sample in inputs}
    assert len(clean) == len(inputs)
    for asked in target.asked:
        assert asked.min() >= 0
        assert asked.max() <= 1
        assert len(asked) == len(inputs)
        assert (asked - inputs).abs().max() <= LEVEL + 1e-6
    assert (trail.inputs - inputs).abs().max() <= LEVEL + 1e-6
    assert (trail.fooled_at == -1).all()


@pytest.mark.parametrize("search", BALLS, ids=lambda search: search.function.__name__)
def test_the_first_iterate_that_fools_is_kept(search):
    inputs = pictures(count=20)
    weights = torch.randn(inputs.shape[1:], generator=torch.Generator().manual_seed(2))
    sums = (inputs * weights).flatten(1).sum(1)
    target = Linear(weights, sums.max().item() + 0.01)  # all clean samples are of class 0
    trail = search.run(target, inputs, zeros(inputs), LEVEL, draws())
    fooled = trail.fooled_at >= 0
    assert fooled.any()
    assert torch.equal(target.scores(trail.inputs).argmax(1) == 1, fooled)
    # The highest sum within the ball tells which samples can be fooled at all.
    corner = (inputs + LEVEL * weights.sign()).clamp(0, 1)
    possible = (corner * weights).flatten(1).sum(1) > target.bias
    assert not (fooled & ~possible).any()
    if search.function in (apgd, sa_pgd):
        assert torch.equal(fooled, possible)
    assert (trail.fooled_at <= search.steps).all()


@pytest.mark.parametrize("search", [APGD, SA_PGD], ids=lambda search: search.function.__name__)
def test_leaving_out_what_is_misread_changes_nothing_for_the_others(search):
    random = torch.Generator().manual_seed(6)
    inputs, weights = torch.rand(40, 9, generator=random), torch.randn(9, generator=random)
    bias = (inputs @ weights).max().item() - 0.05
    all_asked, few_asked = Linear(weights, bias, leaves_out=False), Linear(weights, bias)
    whole, cut = (search.run(target, inputs, zeros(inputs), LEVEL, draws()) for target in (all_asked, few_asked))
    assert torch.equal(whole.fooled_at, cut.fooled_at)
    assert torch.equal(whole.inputs, cut.inputs)
    assert {len(asked) for asked in all_asked.asked} == {40}
    assert min(len(asked) for asked in few_asked.asked) < 36


def test_a_search_that_fooled_early_keeps_that_point():
    class Once(Waves):
        def ascent(self, inputs, labels, loss):
            scores, losses, gradients = super().ascent(inputs, labels, loss)
            return (scores.flip(1) if len(self.asked) == 4 else scores), losses, gradients

    for search in (apgd, sa_pgd):
        inputs, target = pictures(), Once()
        trail = Search(search, 30).run(target, inputs, zeros(inputs), LEVEL, draws())
        assert trail.fooled_at.tolist() == [3] * len(inputs)
        assert torch.equal(trail.inputs, target.asked[3])


def test_zero_gradients_are_told_and_divide_nothing():
    class Flat(Waves):
        def ascent(self, inputs, labels, loss):
            scores, losses, gradients = super().ascent(inputs, labels, loss)
            gradients[::2] = 0
            return scores, losses, gradients

    for search in (apgd, sa_pgd):
        inputs = pictures()
        trail = Search(search, 10).run(Flat(), inputs, zeros(inputs), LEVEL, draws())
        assert trail.flat.tolist() == [index % 2 == 0 for index in range(len(inputs))]
        assert trail.inputs.isfinite().all()


def test_squares_shrink_and_the_margin_never_does():
    inputs, target = pictures(count=3, channels=2, side=10), Waves()
    weights = torch.randn(2, 10, 10, generator=torch.Generator().manual_seed(2))
    target = Linear(weights, 100.0)
    Search(square, 200).run(target, inputs, zeros(inputs), LEVEL, draws())
    stripes = (target.asked[0] - inputs).abs()
    assert (stripes[(target.asked[0] > 0) & (target.asked[0] < 1)] - LEVEL).abs().max() < 1e-6
    accepted, best = target.asked[0], (target.asked[0] * weights).flatten(1).sum(1)
    sides = []
    for asked in target.asked[1:]:
        changed = (asked != accepted).any(1)  # [B, 10, 10]: within one square of every image
        for picture in changed:
            if picture.any():
                rows, columns = picture.nonzero().unbind(1)
                sides.append(max(int(rows.max() - rows.min()), int(columns.max() - columns.min())) + 1)
        value = (asked * weights).flatten(1).sum(1)
        better = value >= best
        accepted, best = torch.where(better[:, None, None, None], asked, accepted), torch.maximum(best, value)
    assert max(sides[:3]) == 6  # query 1 of 200 comes after the first halving: 40 % of the area
    assert max(sides[len(sides) // 2 :]) <= 2
    assert (best > (target.asked[0] * weights).flatten(1).sum(1)).all()


def test_random_signs_are_corners():
    inputs, target = torch.full((4, 1, 6, 6), 0.5), Linear(torch.ones(1, 6, 6), 100.0)
    Search(random_signs, 12).run(target, inputs, zeros(inputs), LEVEL, draws())
    assert len(target.asked) == 12
    assert all((abs((asked - 0.5).abs() - LEVEL) < 1e-6).all() for asked in target.asked)
    assert len({tuple(asked.flatten().tolist()) for asked in target.asked}) == 12


def least_flips(sample, weights, bias):
    """By trying all sets of flips, the smallest first."""
    for count in range(len(sample) + 1):
        for places in itertools.combinations(range(len(sample)), count):
            flipped = sample.clone()
            flipped[list(places)] = 1 - flipped[list(places)]
            if flipped @ weights > bias:
                return count
    return None


def test_flips_are_few_and_within_the_budget():
    random = torch.Generator().manual_seed(7)
    inputs = (torch.rand(12, 10, generator=random) < 0.5).float()
    weights = torch.randn(10, generator=random)
    bias = (inputs @ weights).max().item() + 0.05
    least = [least_flips(sample, weights, bias) for sample in inputs]
    assert len({count for count in least if count is not None}) >= 3
    for allowed in (1, 2, 4, 10):
        trail = FLIPS.run(Linear(weights, bias), inputs, zeros(inputs), allowed / 10, draws())
        made = (trail.inputs != inputs).sum(1).tolist()
        for count, sample, flips, at in zip(least, trail.inputs, made, trail.fooled_at.tolist(), strict=True):
            fits = count is not None and count <= allowed
            assert (at >= 1) == fits
            assert flips == (count if fits else 0)
            assert bool(sample @ weights > bias) == fits
        assert set(trail.inputs.unique().tolist()) == {0.0, 1.0}


def test_flips_refuse_values_that_are_not_binary():
    with pytest.raises(InputError, match="flips need samples of 0 and 1"):
        FLIPS.run(Linear(torch.ones(4), 1.0), torch.full((1, 4), 0.5), torch.zeros(1, dtype=torch.long), 0.5, draws())
