from __future__ import annotations

import math
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn
from torch.nn import functional as F

from spikemark import count_operations
from spikemark.core.counts import Kind
from spikemark.measures.counting.census import Memory, census
from spikemark.measures.counting.input_kinds import MAX_LEVELS, InputValues

SPIKES = (torch.rand(12, 4, 6, 6, generator=torch.Generator().manual_seed(0)) < 0.4).float()
PER_CHANNEL = torch.tensor([0.3, 1.0, 2.0, 0.7]).view(4, 1, 1)
SIGNS = 1 - 2 * (torch.rand(SPIKES.shape, generator=torch.Generator().manual_seed(1)) < 0.5).float()


def kind_of(*calls: Tensor) -> Kind:
    values = InputValues()
    for call in calls:
        values.see(census(call))
    return values.kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (torch.zeros(3, 4), "binary"),
        (torch.ones(3, 4), "binary"),
        (SPIKES, "binary"),
        (-SPIKES, "ternary"),
        (SPIKES * SIGNS, "ternary"),
        (0.7 * SPIKES, "scaled"),
        (-2 * SPIKES * SIGNS, "scaled"),
        (PER_CHANNEL * SPIKES, "graded"),
        (F.avg_pool2d(SPIKES, 2), "graded"),
        (F.avg_pool2d(SPIKES * SIGNS, 3), "graded"),
        (SPIKES + SPIKES.roll(1), "integer"),
        (SPIKES - 2 * SPIKES.roll(1), "integer"),
        (torch.arange(1.0, MAX_LEVELS + 1).expand(2, -1), "integer"),
        (torch.arange(1.0, MAX_LEVELS + 1).expand(2, -1) + 0.5, "graded"),
        (torch.arange(2.0, MAX_LEVELS + 2).expand(2, -1), "graded"),
        (torch.tensor([[1.0, torch.inf], [1.0, torch.inf]]), "graded"),
        (torch.arange(0.0, MAX_LEVELS + 2).expand(2, -1), "analog"),
        (torch.randn(12, 4, 6, 6), "analog"),
        (torch.rand(1, 3), "analog"),
        (SPIKES.where(SPIKES == 0, torch.rand(SPIKES.shape)), "analog"),
        (torch.ones(8, 300).index_fill(0, torch.tensor(7), 1 - 2.0**-24), "graded"),  # nearly one is not one
        (torch.ones(2, 2) * torch.tensor([1e-30, 1.0]), "graded"),
        (torch.full((2, 2), torch.inf), "scaled"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kinds(values: Tensor, kind: Kind, dtype: torch.dtype) -> None:
    assert kind_of(values.to(dtype)) == kind


@pytest.mark.parametrize(
    ("calls", "kind"),
    [
        ((SPIKES, SPIKES), "binary"),
        ((SPIKES, -SPIKES), "ternary"),
        ((0 * SPIKES, 0.5 * SPIKES), "scaled"),
        ((SPIKES, 0.5 * SPIKES), "graded"),
        ((0.5 * SPIKES, SPIKES), "graded"),
        ((0.5 * SPIKES, 0.25 * SPIKES), "graded"),
        ((F.avg_pool2d(SPIKES, 2), 7 * SPIKES), "graded"),
        ((torch.randn(24, 4), torch.ones(12, 4)), "analog"),
        ((torch.ones(12, 4), torch.randn(24, 4)), "analog"),
        ((torch.arange(2.0, MAX_LEVELS + 2).expand(3, -1), torch.ones(1, 1)), "analog"),
        (tuple(torch.full((2, 1), float(n)) for n in range(MAX_LEVELS + 1)), "integer"),
        ((SPIKES, 3 * SPIKES), "integer"),
        ((SPIKES, 3 * SPIKES, 0.5 * SPIKES), "graded"),
        (tuple(torch.full((2, 1), float(n)) for n in range(MAX_LEVELS + 2)), "analog"),
        ((torch.rand(1, 2), torch.rand(1, 2)), "analog"),
    ],
)
def test_the_kind_is_that_of_all_calls_together(calls: tuple[Tensor, ...], kind: Kind) -> None:
    assert kind_of(*calls) == kind


def test_invalid_numbers_are_analog_and_end() -> None:
    assert kind_of(torch.full((200, 3), torch.nan)) == "analog"
    assert kind_of(torch.cat([SPIKES, torch.full((1, 4, 6, 6), torch.nan)])) == "analog"


def test_scaled_spikes_accumulate_and_averages_multiply() -> None:
    class Pooled(nn.Module):
        def __init__(self, pool: nn.Module) -> None:
            super().__init__()
            self.pool, self.conv = pool, nn.Conv2d(4, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(self.pool(x.flatten(0, 1)))

    x = (0.3 * SPIKES).unflatten(0, (4, 3))
    (scaled,) = count_operations(Pooled(nn.MaxPool2d(2)), x).layers
    (graded,) = count_operations(Pooled(nn.AvgPool2d(2)), x).layers
    assert (scaled.kind, scaled.macs, scaled.acs > 0) == ("scaled", 0, True)
    assert (graded.kind, graded.macs > 0, graded.acs) == ("graded", True, 0)


arrays = hnp.arrays(
    "float32",
    hnp.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=9),
    elements=st.sampled_from([0.0, -0.0, 1.0, 0.5, -1.0, 1e-45, float("nan"), float("inf")]),
)


@given(arrays, st.sampled_from([torch.float32, torch.float64, torch.float16]), st.booleans(), st.booleans())
@settings(deadline=None, derandomize=True)
def test_census_is_exact_for_every_type_and_layout(
    array: object, dtype: torch.dtype, mirrored: bool, much: bool
) -> None:
    values = torch.as_tensor(array).to(dtype)
    if mirrored:
        values = values.transpose(0, -1)
    with patch("spikemark.measures.counting.census._PAYS_FROM", -1 if much else math.inf):
        result = census(values)
    assert torch.equal(result.nonzero, (values != 0).sum(0).double())
    assert result.total == int((values != 0).sum())
    assert result.only_ones == bool(((values == 0) | (values == 1)).all())


@given(arrays, st.booleans())
@settings(deadline=None, derandomize=True)
def test_levels_are_exact(array: object, much: bool) -> None:
    values = torch.as_tensor(array)
    with patch("spikemark.measures.counting.census._PAYS_FROM", -1 if much else math.inf):
        levels = census(values).levels
    there = values[values != 0].abs().tolist()
    if any(math.isnan(value) for value in there):
        assert levels is None
    else:
        assert levels is not None
        assert levels.magnitudes == set(there)
        assert levels.signed == bool((values < 0).any())
        assert torch.equal(levels.sums, values.abs().sum(0, dtype=torch.float64))


@pytest.mark.parametrize("much", [False, True])
@pytest.mark.parametrize("count", [MAX_LEVELS, MAX_LEVELS + 1])
def test_there_are_levels_up_to_a_limit(much: bool, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikemark.measures.counting.census._PAYS_FROM", -1 if much else math.inf)
    for unit in (1.0, 2.0**-20, 2.0**20, 1 / 3):  # that differ in low bits, in high ones, and in all
        values = unit * torch.arange(float(count + 1)).repeat(6, 2)
        levels = census(values).levels
        assert (levels is not None) == (count == MAX_LEVELS)
        assert levels is None or levels.magnitudes == set((unit * torch.arange(1.0, count + 1)).tolist())


def test_what_is_remembered_is_what_is_there() -> None:
    memory = Memory()
    values = SPIKES.clone()
    first = memory.census(values)
    assert memory.census(values) is first
    flat = memory.census(values.flatten(1))
    assert flat.nonzero is not first.nonzero
    assert torch.equal(flat.nonzero, first.nonzero.flatten())  # the same numbers in another shape
    assert memory.census(values[:, 1:2].contiguous()).total == int(values[:, 1:2].sum())
    values.mul_(0.5)  # raises the version
    assert not memory.census(values).only_ones
    values.data.zero_()
    memory.forget(values)
    assert memory.census(values).total == 0
    values.data.fill_(1)
    assert memory.census(values, fresh=True).total == values.numel()
    memory.never(values)
    values.numpy().fill(2)
    levels = memory.census(values).levels
    assert levels is not None
    assert levels.magnitudes == {2.0}
    outside = Memory([values])
    outside.census(values)
    values.numpy().fill(0)
    assert outside.census(values).total == 0


def test_a_place_that_is_given_to_another_tensor_is_not_taken_for_the_first() -> None:
    memory, places = Memory(), set()
    for n in range(50):
        values = torch.full((4, 1000), float(n % 2))
        places.add(values.data_ptr())
        assert memory.census(values).total == 4000 * (n % 2)
        del values
    assert len(places) < 50  # the allocator does give places again


@pytest.mark.parametrize("window", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(5, 7), (40, 3, 8), (6, 2, 5, 4)])
def test_levels_of_sums_and_averages(window: int, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of three layers of spikes, averaged over windows; laid out as batches of matrices and weights are, too."""
    spikes = torch.rand(3, window**2, *shape, generator=torch.Generator().manual_seed(0)) < 0.4
    values = spikes.float().sum(0).mean(0)
    monkeypatch.setattr("spikemark.measures.counting.census._PAYS_FROM", math.inf)
    wanted = census(values)
    monkeypatch.setattr("spikemark.measures.counting.census._PAYS_FROM", -1)
    for laid_out in (
        values,
        values.movedim(0, -2).contiguous().movedim(-2, 0),
        values.movedim(0, -1).contiguous().movedim(-1, 0),
    ):
        found = census(laid_out)
        assert found.levels is not None
        assert wanted.levels is not None
        assert found.levels.magnitudes == wanted.levels.magnitudes
        assert found.total == wanted.total
        assert torch.equal(found.nonzero, wanted.nonzero)
        torch.testing.assert_close(found.levels.sums, wanted.levels.sums, rtol=0 if window != 3 else 1e-12, atol=0)


@pytest.mark.parametrize("much", [False, True])
def test_weights_are_remembered_while_nobody_else_has_them(much: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikemark.measures.counting.census._PAYS_FROM", -1 if much else math.inf)
    weight, array = torch.ones(6, 5), np.ones((6, 5), dtype=np.float32)
    lent = torch.from_numpy(array)
    memory = Memory([weight, lent])
    assert memory.census(weight) is memory.census(weight)
    assert memory.census(lent) is not memory.census(lent)
    alias = weight.numpy()
    before = memory.census(weight)
    alias[:] = 0
    assert memory.census(weight) is not before
    assert memory.census(weight).total == 0


@pytest.mark.parametrize("much", [False, True])
def test_census_of_many_rows(much: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikemark.measures.counting.census._PAYS_FROM", -1 if much else math.inf)
    values = torch.ones(1023, 3)
    values[700:, 1] = 0
    assert census(values).nonzero.tolist() == [1023, 700, 1023]
