"""The fields of a model, and the one that was perhaps meant by another name."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel


def fields_at(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The fields that are known at a location of the model, in its order; none where it has no fields there."""
    here: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, int) or here is None:
            continue
        field = here.model_fields.get(part)
        here = _model_in(field.annotation) if field else None
    return list(here.model_fields) if here else []


def meant(model: type[BaseModel], location: Sequence[int | str]) -> str | None:
    """The field whose name is most like the last part of a location that the model does not know, if one is like it."""
    typed = str(location[-1]).casefold()
    close = difflib.get_close_matches(typed, fields_at(model, location[:-1]), n=1)
    return close[0] if close else None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for argument in typing.get_args(annotation):
        if (found := _model_in(argument)) is not None:
            return found
    return None
