"""JSON: the type of what it holds, dataclasses written as it, and dataclasses read from it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Self, cast

if TYPE_CHECKING:
    import pandas as pd
    from _typeshed import DataclassInstance
    from pydantic import TypeAdapter

JsonValue = str | int | float | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
Json = dict[str, JsonValue]


class Spread:
    """A value whose JSON is several entries of the object it is in, such as an interval."""

    def spread(self, name: str) -> Json:
        """Return the entries, under the name of the field that holds the value."""
        raise NotImplementedError


class JsonReady:
    """What a dataclass derives from whose JSON has its fields, under their own names.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Window(JsonReady):
    ...     until: date
    ...     days: tuple[int, ...]
    >>> Window(date(2025, 4, 1), (30, 90)).to_dict()
    {'until': '2025-04-01', 'days': [30, 90]}
    >>> Window.from_dict({"until": "2025-04-01", "days": [30, 90]}).days
    (30, 90)
    """

    __slots__ = ()

    def to_dict(self) -> Json:
        """Return a JSON-ready description; days and times in ISO format."""
        return described_fields(cast("DataclassInstance", self))

    @classmethod
    def from_dict(cls, described: Mapping[str, JsonValue]) -> Self:
        """Rebuild the dataclass from :meth:`to_dict`.

        Raises
        ------
        ValueError
            When a field is absent or holds what it must not.
        """
        return cast("Self", _reader(cast("Hashable", cls)).validate_python(described))


def described_fields(value: DataclassInstance) -> Json:
    """Describe the fields of a dataclass."""
    described: Json = {}
    for field in fields(value):
        content = getattr(value, field.name)
        if isinstance(content, Spread):
            described |= content.spread(field.name)
        else:
            described[field.name] = json_value(content)
    return described


def json_value(value: object) -> JsonValue:
    """Turn dataclasses, days and collections inside a value into what JSON holds."""
    if isinstance(value, JsonReady):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return described_fields(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): json_value(content) for key, content in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(content) for content in value]
    return cast("JsonValue", value)


def json_records(table: pd.DataFrame) -> list[Json]:
    """Turn rows into objects; nothing where a number is missing."""
    plain = table.astype(object).where(table.notna(), None)
    return [
        {str(name): v.item() if hasattr(v, "item") else v for name, v in row.items()}
        for row in plain.to_dict("records")
    ]


@cache
def _reader(kind: Hashable) -> TypeAdapter[object]:
    from pydantic import TypeAdapter

    return TypeAdapter(cast("type[object]", kind))
