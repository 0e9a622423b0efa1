"""The one idiom of validation: plain, frozen data whose fields pydantic checks, with errors on one line."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeVar, cast, dataclass_transform

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from spikemark.errors import InputError, explain

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

T = TypeVar("T")


class _OneLine(ModelMetaclass):
    """Errors of a call are `InputError`s; inside a validation, pydantic's own, so that paths stay whole."""

    def __call__(cls, *values: Any, **fields: Any) -> Any:  # noqa: N805 (a metaclass's self is a class)
        try:
            return super().__call__(*values, **fields)
        except ValidationError as error:
            raise InputError(explain(error, cast("type[BaseModel]", cls).model_fields)) from None


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Options(BaseModel, metaclass=_OneLine):
    """Named settings: no field but the known ones, no value of another type, never changed.

    Raises:
        InputError: a field is unknown, missing or out of its range; the message begins with its path.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True, serialize_by_alias=True
    )


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def checked(cls: type[T]) -> type[T]:
    """Makes a frozen dataclass whose fields are validated when it is built, under the rules of `Options`."""
    made: Any = dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))(cls)
    build = made.__init__

    def __init__(self: Any, *values: Any, **fields: Any) -> None:  # noqa: N807
        try:
            build(self, *values, **fields)
        except ValidationError as error:
            names = list(made.__dataclass_fields__)
            raise InputError(_by_name(explain(error, names), names)) from None

    made.__init__ = __init__
    return cast("type[T]", made)


def _by_name(message: str, names: list[str]) -> str:
    """Positional arguments by the names of their fields."""
    head, dot, rest = message.partition(":")
    first, *further = head.split(".")
    if first.isdigit() and int(first) < len(names):
        return ".".join([names[int(first)], *further]) + dot + rest
    return message


def each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values.

    Raises:
        ValueError: one of them stands there twice.
    """
    doubles = sorted({str(value) for value in values if values.count(value) > 1})
    if doubles:
        raise ValueError(f"named twice: {', '.join(doubles)}")
    return values
