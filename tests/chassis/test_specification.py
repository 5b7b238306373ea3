from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel

from contracts.envelope import Envelope, UnknownData
from services.chassis.commands import Route
from services.chassis.specification import Channel, specification


class Question(BaseModel):
    number: int


class Answer(BaseModel):
    double: int


ROWS = [
    Route("ask.test.number.double", Question, Answer, lambda call: None, "Double a number."),
    Route("do.test.number.forget", Question, None, lambda call: None, "Forget a number."),
]
CHANNELS = [
    Channel("log.test.{programme}.number.doubled", Envelope[UnknownData], "A number was doubled."),
    Channel("intake.{source}.number.double", Question, "A partner asks.", "receive"),
]


def _document() -> dict[str, Any]:
    return specification("Test", "1.2.3", "A service.", ROWS, CHANNELS)


def _resolve(document: dict[str, Any], reference: str) -> Any:
    """Follow ``#/a/b`` through the document; a reference into nothing raises KeyError."""
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[unquote(part).replace("~1", "/").replace("~0", "~")]
    return _resolve(document, node["$ref"]) if "$ref" in node else node


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [reference for value in node.values() for reference in _references(value)]
    if isinstance(node, list):
        return [reference for value in node for reference in _references(value)]
    return []


def test_every_request_shows_what_is_asked_and_what_is_answered() -> None:
    document = _document()
    assert document["asyncapi"] == "3.0.0"
    assert document["info"] == {"title": "Test", "version": "1.2.3", "description": "A service."}
    operation = document["operations"]["ask.test.number.double"]
    assert operation["action"] == "receive"
    [request] = [_resolve(document, message["$ref"]) for message in operation["messages"]]
    assert "number" in _resolve(document, request["payload"]["$ref"])["properties"]
    reply, problem = [_resolve(document, message["$ref"]) for message in operation["reply"]["messages"]]
    assert "double" in _resolve(document, reply["payload"]["$ref"])["properties"]
    assert "status" in _resolve(document, problem["payload"]["$ref"])["properties"]
    assert _resolve(document, operation["reply"]["channel"]["$ref"])["address"] is None


def test_a_command_without_a_reply_body_may_still_fail() -> None:
    document = _document()
    [problem] = document["operations"]["do.test.number.forget"]["reply"]["messages"]
    assert problem["$ref"].endswith("/Problem")


def test_published_and_received_messages_stand_in_it_with_their_envelope() -> None:
    document = _document()
    fact = document["operations"]["log.test.{programme}.number.doubled"]
    assert fact["action"] == "send"
    channel = _resolve(document, fact["channel"]["$ref"])
    assert channel["address"] == "log.test.{programme}.number.doubled"
    assert set(channel["parameters"]) == {"programme"}
    [message] = [_resolve(document, each["$ref"]) for each in fact["messages"]]
    assert {"specversion", "position", "data"} <= set(_resolve(document, message["payload"]["$ref"])["properties"])
    assert document["operations"]["intake.{source}.number.double"]["action"] == "receive"


def test_every_reference_leads_somewhere() -> None:
    document = _document()
    references = _references(document)
    assert len(references) > 10
    for reference in references:
        _resolve(document, reference)


def test_the_same_tables_make_the_same_bytes_and_name_no_server() -> None:
    documents = {json.dumps(_document()) for _ in range(10)}
    assert len(documents) == 1
    assert "localhost" not in documents.pop()


def test_a_service_without_requests_has_a_document_too() -> None:
    document = specification("Test", "1", "Facts only.", [], CHANNELS[:1])
    assert list(document["operations"]) == ["log.test.{programme}.number.doubled"]
