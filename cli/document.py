"""YAML that people write, checked against the contract: every complaint names the line and the column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scanner import RoundTripScanner, ScannerError

from cli.failure import REFUSED, Failure
from cli.reading import text as text_of
from contracts.characters import named
from contracts.complaints import unfit_of
from contracts.fields import fields_at, meant
from contracts.problem import Fault, Problem, complaint, problem_type, without_echoes

Model = TypeVar("Model", bound=BaseModel)

LARGEST: Final = 256 * 1024
"""Octets of a document; the longest of the samples has 5 KiB."""
MOST_MISTAKES: Final = 100
_DEEPEST: Final = 30
_LONGEST_SHOWN: Final = 200
_MOST_TOKENS: Final = 20_000
"""Some five thousand values, which take a second."""
_LARGEST_NUMBER: Final = 2**63


class _Scanner(RoundTripScanner):
    """
    Bounds before anything is built: the parser's time grows with the square of the depth, its stack with it.

    A document stands for as much as it says: an alias of an alias of an alias stands for more than any memory holds.
    """

    _count = 0

    def fetch_more_tokens(self) -> Any:
        self._count += 1
        if self._count > _MOST_TOKENS:
            raise self._refused("this is more than a document of ours has; is it the right file?")
        return super().fetch_more_tokens()

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:  # noqa: N803 - the library's name
        self._bound(len(self.flow_context))
        super().fetch_flow_collection_start(TokenClass, to_push)

    def add_indent(self, column: int) -> bool:
        self._bound(len(self.indents))
        return bool(super().add_indent(column))

    def fetch_alias(self) -> None:
        raise self._refused("aliases (*name) are not taken here: write the value out")

    def _bound(self, depth: int) -> None:
        if depth >= _DEEPEST:
            raise self._refused(f"it nests more than {_DEEPEST} deep; is a bracket or a quote never closed?")

    def _refused(self, why: str) -> ScannerError:
        return ScannerError(None, None, why, self.reader.get_mark())


class _Constructor(RoundTripConstructor):
    """Says where a value stands that cannot be made: what makes numbers, dates and tags raises whatever Python does."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            made = super().construct_object(node, deep)
        except YAMLError:
            raise
        except Exception as error:
            why = " ".join(str(error).split())[:_LONGEST_SHOWN]
            raise ConstructorError(None, None, f"this value cannot be read ({why})", node.start_mark) from None
        if isinstance(made, int) and abs(made) >= _LARGEST_NUMBER:
            raise ConstructorError(None, None, "this number is too large", node.start_mark)
        return made


def _as_written(_: _Constructor, node: Any) -> str:
    """A day or a time, which the contract reads: the library would lose its offset."""
    return str(node.value)


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", _as_written)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file; both count from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in a file."""

    place: Place
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.field + ': ' if self.field else ''}{self.message}"


class Mistakes(Failure):
    """A file that the contract does not allow."""

    def __init__(self, path: Path, what: str, mistakes: Sequence[Mistake]) -> None:
        self.path = path
        self.mistakes = tuple(mistakes)
        mistakes = mistakes[:MOST_MISTAKES]
        count = f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}"
        if len(mistakes) == MOST_MISTAKES:
            count = f"these {count}, and perhaps more"
        summary = f"{path} is not a valid {what}: {count}."
        super().__init__(
            "\n".join([summary, *(f"  {path}:{mistake}" for mistake in mistakes)]),
            f"Correct the {what} at the lines named, then try again; 'deelname {what} check' reads it without sending."
            if what == "programme"
            else "Correct the lines named, then try again.",
            code=REFUSED,
            problem=Problem(
                type=problem_type("invalid"),
                title=f"The {what} is not valid",
                status=422,
                detail=summary,
                errors=tuple(
                    Fault(field=mistake.field or None, detail=f"{path}:{mistake.place}: {mistake.message}")
                    for mistake in mistakes
                ),
            ),
        )


@dataclass(frozen=True, slots=True)
class Document(Generic[Model]):
    """A file that was read, and where its fields stand."""

    path: Path
    value: Model
    tree: Any

    def place(self, *location: int | str) -> Place:
        """Where a field stands, or the nearest thing around it."""
        return place_of(self.tree, location)


def read(path: Path, model: type[Model], what: str) -> Document[Model]:
    """
    Read a YAML 1.2 file as ``model``. A key that the contract does not have is a mistake, with the key meant.

    Raises:
        Failure: the file can't be read.
        Mistakes: it is not YAML, or not what the contract says.
    """
    tree = parse(path, what)
    try:
        value = model.model_validate(plain(tree), extra="forbid")
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True, include_input=True)
        placed = [(place_of(tree, item["loc"]), item) for item in without_echoes(details)]
        placed.sort(key=lambda each: (each[0].line, each[0].column))
        raise Mistakes(path, what, [_mistake(model, *each) for each in placed[:MOST_MISTAKES]]) from None
    return Document(path, value, tree)


def parse(path: Path, what: str) -> Any:
    """
    The file's tree, which knows its lines.

    Raises:
        Failure: the file can't be read.
        Mistakes: it is not YAML.
    """
    text = text_of(path, LARGEST)
    yaml = YAML(typ="rt")
    yaml.Scanner = _Scanner
    yaml.Constructor = _Constructor
    try:
        tree = yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        message = " ".join(str(error.problem or error.context or "not YAML").split())
        raise Mistakes(path, what, [Mistake(place, "", f"not YAML: {message}")]) from None
    except ReaderError as error:
        place = Place(text.count("\n", 0, error.position) + 1, 1)
        raise Mistakes(path, what, [Mistake(place, "", f"not YAML: it holds {named(chr(error.character))}")]) from None
    except YAMLError as error:
        why = " ".join(str(error).split())[:_LONGEST_SHOWN]
        raise Mistakes(path, what, [Mistake(Place(1, 1), "", f"not YAML: {why}")]) from None
    if not isinstance(tree, CommentedMap):
        raise Mistakes(path, what, [Mistake(Place(1, 1), "", f"a {what} is a list of 'key: value' lines")])
    return tree


def plain(tree: Any) -> Any:
    """The tree without what remembers lines."""
    if isinstance(tree, Mapping):
        return {key: plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [plain(value) for value in tree]
    return tree


def place_of(tree: Any, location: Sequence[int | str]) -> Place:
    """Where the location stands in the tree, or the nearest thing around it that does stand there."""
    line, column = 0, 0
    here = tree
    for part in location:
        if isinstance(here, CommentedMap) and part in (here.lc.data or ()):
            line, column = here.lc.key(part)
        elif isinstance(here, CommentedSeq) and isinstance(part, int) and part < len(here):
            line, column = here.lc.item(part)
        else:
            break
        here = here[part]
    return Place(line + 1, column + 1)


def _mistake(model: type[BaseModel], place: Place, item: ErrorDetails) -> Mistake:
    location = item["loc"]
    field = ".".join(str(part) for part in location)
    match item["type"]:
        case "extra_forbidden":
            close = meant(model, location)
            hint = f"did you mean '{close}'?" if close else f"known here: {', '.join(fields_at(model, location[:-1]))}."
            return Mistake(place, field, f"unknown key; {hint}")
        case "missing":
            return Mistake(place, field, complaint(item))
        case _ if unfit_of(item):
            return Mistake(place, field, complaint(item))
        case _:
            return Mistake(place, field, complaint(item) + _shown(item.get("input")))


def _shown(value: object) -> str:
    if isinstance(value, str | int | float) and len(str(value)) <= 60:
        return f", not '{value}'"
    return ""
