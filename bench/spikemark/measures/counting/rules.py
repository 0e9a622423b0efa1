"""Rules for modules whose work no watching of tensors can tell: whoever writes such a module says what it does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from spikemark.errors import InputError

Rule = Callable[[nn.Module, tuple[Any, ...], Any], Mapping[str, float]]
"""From a module, the arguments of a call and what it gave to ``macs``, ``acs`` and ``dense`` of the whole call."""
_NAMES = ("macs", "acs", "dense")
_RULES: dict[type[nn.Module], Rule] = {}


def count_rule(kind: type[nn.Module], rule: Rule | None = None) -> Any:
    """Say how the operations of a class of modules are counted; also a decorator ``@count_rule(MyLayer)``.

    Args:
        kind: the class; its subclasses are counted by the same rule.
        rule: ``rule(module, inputs, output) -> {"macs": ..., "acs": ..., "dense": ...}``: totals of one call, over the
            steps and samples in it; what is left out is 0. What happens inside the module is not looked at.

    Raises:
        InputError: `kind` is no class of modules, or has a rule already.
    """
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise InputError(f"count_rule: {kind!r} is no class of torch modules")
    if rule is None:
        return lambda function: count_rule(kind, function)
    if kind in _RULES:
        raise InputError(f"count_rule: {kind.__name__} has a rule already")
    _RULES[kind] = rule
    return rule


def rule_of(module: nn.Module) -> Rule | None:
    """The rule of a module's class, or of the closest class above it."""
    return next((_RULES[kind] for kind in type(module).__mro__ if kind in _RULES), None)


def ruled(rule: Rule, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> tuple[float, float, float]:
    """What a rule says of a call: MACs, ACs and dense operations.

    Raises:
        InputError: something else than numbers from 0.
    """
    found = rule(module, inputs, output)
    where = f"count_rule of {type(module).__name__}"
    if not isinstance(found, Mapping) or not found.keys() <= set(_NAMES):
        raise InputError(f"{where}: gave {found!r}; expected a mapping with some of {', '.join(_NAMES)}")
    values = [found.get(name, 0.0) for name in _NAMES]
    for name, value in zip(_NAMES, values, strict=True):
        if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise InputError(f"{where}: {name} is {value!r}; expected a number from 0")
    return values[0], values[1], values[2]
