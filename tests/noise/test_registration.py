"""The decorator, as somebody else's package uses it."""

import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import nn

from spikemark.core.streams import generator
from spikemark.data.card import DATASETS
from spikemark.errors import InputError
from spikemark.noise.case import NOISES, Case, noise

pytestmark = pytest.mark.usefixtures("registries_as_before")
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5)


def registered(function, domain="input", levels=LEVELS, **fields):
    assert noise("mine", domain=domain, levels=levels, unit="of full scale", **fields)(function) is function
    return NOISES["mine"]


@pytest.fixture
def case():
    model = nn.Sequential(nn.Linear(4, 3))
    return Case(model, torch.rand(5, 4), torch.zeros(5, dtype=torch.long), lambda x, g: x[None])


def entered(row, case):
    with row.apply(case, 2, generator("a")) as disturbed:
        return disturbed


def test_each_domain_maps_what_belongs_to_it(case):
    darker = registered(lambda inputs, level, generator: inputs - level)
    assert torch.equal(entered(darker, case).inputs, (case.inputs - 0.2).clamp(min=0))
    assert darker.kinds == ("image", "points", "series")
    with pytest.raises(InputError, match=r"noise mine: is for .* data; nmnist1k is events"):
        darker.check(DATASETS["nmnist1k"])


def test_weights_are_those_of_a_copy(case):
    before = case.model[0].weight.clone()
    row = registered(lambda weights, level, generator: weights * level, "hardware")
    assert torch.equal(entered(row, case).model[0].weight, before * 0.2)
    assert torch.equal(case.model[0].weight, before)


def test_an_adversary_enters_a_case(case):
    row = registered(lambda case, level, generator: nullcontext(replace(case, inputs=1 - case.inputs)), "adversary")
    assert torch.equal(entered(row, case).inputs, 1 - case.inputs)
    assert not row.shared


@pytest.mark.parametrize(
    ("domain", "function", "message"),
    [
        ("input", lambda inputs, *_: inputs[:3], r"gave float32 of shape \[3, 4\]; expected float32 of shape \[5, 4\]"),
        ("input", lambda inputs, *_: inputs.double(), r"gave float64 of shape \[5, 4\]; expected float32"),
        ("input", lambda inputs, *_: inputs.numpy(), r"gave float32 of shape \[5, 4\]|gave a ndarray"),
        ("input", lambda *_: None, "gave a NoneType; expected float32"),
        ("input", lambda inputs, *_: inputs * float("nan"), "gave NaN"),
        ("hardware", lambda weights, *_: weights.T, r"gave float32 of shape \[4, 3\]; expected float32 of"),
        ("adversary", lambda case, *_: case, "gave a Case; expected a context manager that enters a Case"),
        ("adversary", lambda case, *_: nullcontext(1), "entered a int; expected a Case"),
    ],
)  # fmt: skip
def test_what_a_function_gives_is_checked(case, domain, function, message):
    with pytest.raises(InputError, match=f"^noise 'mine': {message}") as caught:
        entered(registered(function, domain), case)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"levels": (1, 2, 3, 4)}, "levels.4: is missing"),
        ({"levels": (1, 2, 3, 4, 5, 6)}, "levels: "),
        ({"levels": (1, 2, 3, 4, float("nan"))}, "levels.4: .* finite number"),
        ({"levels": (1, 2, 3, 4, "5")}, "levels.4: .* valid number"),
        ({"levels": 3}, "not iterable"),
        ({"domain": "inptu"}, "domain: 'inptu' is not one of"),
        ({"kinds": ("picture",)}, "kinds.0: 'picture' is not one of"),
        ({"on": "spike"}, "on: 'spike' is not one of"),
    ],
)
def test_what_is_registered_is_checked(fields, message):
    with pytest.raises(InputError, match=f"^noise 'mine': .*{message}"):
        registered(lambda inputs, level, generator: inputs, **fields)
    assert "mine" not in NOISES


def test_plans_read_noises_and_data_sets_without_torch():
    heavy = ("torch", "kornia", "tonic", "pandas", "scipy", "foolbox")
    program = f"""
import sys
from spikemark.data.card import DATASETS
from spikemark.noise.case import NOISES
for noise in NOISES.values():
    assert len(noise.levels) == 5
    if "image" in noise.kinds:
        noise.check(DATASETS["mnist"])
print([name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
