import torch
from torch import nn

from spikemark.training.memory import saved_for_backward


def test_what_a_square_keeps_is_counted_once():
    model = nn.Linear(4, 8, bias=False)
    inputs = torch.rand(16, 4)
    with saved_for_backward(model, inputs) as saved:
        hidden = model(inputs)
        (hidden * hidden).sum().backward()
    # The product keeps its two factors, which are one tensor; the layer keeps its weight and the input: not counted.
    assert saved.bytes == 16 * 8 * 4


def test_without_gradients_nothing_is_kept():
    model = nn.Linear(4, 8)
    with saved_for_backward(model, torch.rand(2, 4)) as saved, torch.no_grad():
        model(torch.rand(2, 4))
    assert saved.bytes == 0


def test_graphs_that_are_gone_make_room_for_others():
    model = nn.Linear(4, 8, bias=False)
    with saved_for_backward(model, torch.rand(16, 4)) as saved:
        for count in (16, 5, 16, 3):
            factor = torch.rand(count, 4, requires_grad=True)
            torch.autograd.grad((factor * factor).sum(), factor)
    assert saved.bytes == 16 * 4 * 4
