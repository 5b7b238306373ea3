"""The notation of nats-server's configuration files, written from plain data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping


class Bare(str):
    """A value that NATS wants without quotes, as 1MB or enabled."""

    __slots__ = ()


class Included(str):
    """In place of a value: the file, beside this one, whose lines belong here. Its key shows nowhere."""

    __slots__ = ()


def text(value: Mapping[str, object]) -> str:
    """A whole file."""
    return "".join(_line(key, item, 0) for key, item in value.items())


def _line(key: str, item: object, depth: int) -> str:
    if isinstance(item, Included):
        return f"include {json.dumps(item)}\n"
    return f"{_key(key)}: {_value(item, depth)}\n"


def _key(key: str) -> str:
    return key if re.fullmatch(r"\w+", key) else json.dumps(key)


def _value(value: object, depth: int) -> str:
    match value:
        case Bare():
            return str(value)
        case bool() | int():
            return json.dumps(value)
        case dict():
            return _block(value, depth)
        case list():
            return _list(value, depth)
    return json.dumps(str(value), ensure_ascii=False)


def _block(block: Mapping[str, object], depth: int) -> str:
    if _is_flat(block):
        return "{ " + ", ".join(f"{_key(key)}: {_value(item, 0)}" for key, item in block.items()) + " }"
    inner = "  " * (depth + 1)
    lines = "".join(f"{inner}{_line(key, item, depth + 1)}" for key, item in block.items())
    return "{\n" + lines + "  " * depth + "}"


def _list(items: list[object], depth: int) -> str:
    if len(items) <= 1 or all(isinstance(item, Bare) for item in items):
        return "[" + ", ".join(_value(item, depth) for item in items) + "]"
    inner = "  " * (depth + 1)
    return "[\n" + "".join(f"{inner}{_value(item, depth + 1)},\n" for item in items) + "  " * depth + "]"


def _is_flat(block: Mapping[str, object]) -> bool:
    """Short enough for one line: no lists but of names, and no more than one block inside."""
    if any(isinstance(item, Included) for item in block.values()):
        return False
    return len(block) <= 3 and all(
        all(not isinstance(deep, dict | list) for deep in item.values())
        if isinstance(item, dict)
        else not isinstance(item, list) or all(isinstance(deep, Bare) for deep in item)
        for item in block.values()
    )
