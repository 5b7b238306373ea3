"""Messages in which exactly one of several fields is given: a rule that the code and the schema read alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue

from contracts.base import Message
from contracts.characters import Unfit


class Choice(NamedTuple):
    """
    Exactly one of these fields is given, and not null; ``english`` and ``dutch`` ask for it.

    Fields in ``alone`` go with none of those in ``besides``.
    """

    fields: tuple[str, ...]
    english: str
    dutch: str
    alone: tuple[str, ...] = ()
    besides: tuple[str, ...] = ()

    def is_made(self, message: Message) -> bool:
        """Whether the message keeps to it."""
        given = [name for name in self.fields if getattr(message, name) is not None]
        if len(given) != 1:
            return False
        return given[0] not in self.alone or all(getattr(message, name) is None for name in self.besides)

    def schema(self) -> JsonSchemaValue:
        """The same in JSON Schema."""
        return {"oneOf": [self._given(name) for name in self.fields]}

    def _given(self, name: str) -> dict[str, Any]:
        properties: dict[str, Any] = {name: {"not": {"type": "null"}}}
        if name in self.alone:
            properties |= {each: {"type": "null"} for each in self.besides}
        return {"required": [name], "properties": properties}


class Choosing(Message):
    """Base of messages with such rules: each class names its own in ``choices``, and has those of its bases too."""

    choices: ClassVar[tuple[Choice, ...]] = ()

    @model_validator(mode="after")
    def _choose(self) -> Self:
        for choice in self._all_choices():
            if not choice.is_made(self):
                raise Unfit(choice.english, choice.dutch, "choice")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Say so in the schema."""
        schema = handler(core_schema)
        made = handler.resolve_ref_schema(schema)
        rules = [choice.schema() for choice in cls._all_choices()]
        if len(rules) == 1:
            made.update(rules[0])
        elif rules:
            made["allOf"] = rules
        return schema

    @classmethod
    def _all_choices(cls) -> Iterator[Choice]:
        for each in reversed(cls.__mro__):
            yield from vars(each).get("choices", ())


ONE_ENROLMENT = Choice(
    ("enrolment", "request"),
    "Name the enrolment: either 'enrolment', its id, or 'request', the id of the message that made it.",
    "Noem de aanmelding: óf 'enrolment', haar id, óf 'request', het id van het bericht waarmee ze werd gedaan.",
)
ONE_PERSON = Choice(
    ("person", "email"),
    "Name the person: either 'person', the id, or 'email', the address, and 'name' where several share it.",
    "Noem de persoon: óf 'person', het id, óf 'email', het adres, met 'name' als meer mensen dat delen.",
    alone=("person",),
    besides=("name",),
)
