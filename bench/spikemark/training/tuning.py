"""Options of a rule that the validation split chooses: every contender gets the same search, with its own result.

This module imports no torch: suites plan with the options alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from spikemark.core.options import Options, each_once
from spikemark.errors import InputError
from spikemark.training.rule import Rule


class Choice(Options):
    """One option and the values that are tried for it.

    Attributes:
        option: dotted path below the rule, such as "optimizer.learning_rate".
        values: to try; of equally good ones the first is taken.
    """

    option: str
    values: Annotated[tuple[Any, ...], Field(min_length=1)]

    @field_validator("values")
    @classmethod
    def _no_doubles(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return each_once(values)


class Tuning(Options):
    """A search along one option after the other, each with the earlier ones as they were chosen.

    Attributes:
        search: the options, in order.
        epochs: of each trial, a whole training with a schedule of that length.
        seed: of the trials; the runs have others.
    """

    search: Annotated[tuple[Choice, ...], Field(min_length=1)]
    epochs: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)] = 1000

    @model_validator(mode="after")
    def _options_once(self) -> Self:
        each_once(tuple(choice.option for choice in self.search))
        return self

    def check(self, rule: Rule) -> None:
        """That the rule can be told every value.

        Raises:
            InputError: it has no such option, or may not have such a value.
        """
        for choice in self.search:
            for value in choice.values:
                with_options(rule, {choice.option: value})


@dataclass(frozen=True)
class Trial:
    """One training of the search.

    Attributes:
        options: by path, what the rule was told.
        validation_accuracy: of its best epoch; None where training diverged.
    """

    options: Mapping[str, Any]
    validation_accuracy: float | None


def tune(
    rule: Rule, tuning: Tuning, idle: frozenset[str], attempt: Callable[[Rule], float | None]
) -> tuple[Rule, tuple[Trial, ...]]:
    """Search for the rule's options.

    Args:
        rule: where the search begins.
        tuning: the search.
        idle: options that change nothing for this contender; they stay as they are.
        attempt: trains by a rule and gives the validation accuracy, None where training diverges.

    Returns:
        The rule as it was chosen, and all trials in order.

    Raises:
        InputError: see `Tuning.check`.
    """
    chosen: dict[str, Any] = {}
    trials: list[Trial] = []
    for choice in tuning.search:
        if choice.option in idle:
            continue
        tried = [chosen | {choice.option: value} for value in choice.values]
        for options in tried:
            if all(with_options(rule, options) != with_options(rule, trial.options) for trial in trials):
                trials.append(Trial(options, attempt(with_options(rule, options))))
        chosen = dict(max(trials, key=_score).options)
    return with_options(rule, chosen), tuple(trials)


def _score(trial: Trial) -> float:
    return -1.0 if trial.validation_accuracy is None else trial.validation_accuracy


def with_options(rule: Rule, options: Mapping[str, Any]) -> Rule:
    """The rule with other values at dotted paths.

    Raises:
        InputError: it has no such option, or may not have such a value.
    """
    data = json.loads(rule.model_dump_json(exclude_unset=True))
    for path, value in options.items():
        *folders, name = path.split(".")
        table = data
        for folder in folders:
            table = table.setdefault(folder, {})
            if not isinstance(table, dict):
                raise InputError(f"rule {rule.name}: {path}: {folder} is one value, not a table")
        table[name] = value
    return Rule.from_dict({"name": rule.name, **data})
