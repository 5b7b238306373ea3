"""
What a schema takes the code takes, and what the code takes the schema takes as the code keeps it.

Partners check what they send by the schema: who may trust it is answered by ajv, the judge that most of them have. Left
out is what no JSON Schema can say: which names are addresses of websites, which hosts there can be, and letters whose
other form is a sign (``contracts.names``, ``contracts.addresses``).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from contracts import schemas
from contracts.enrolment import Person
from contracts.envelope import Envelope
from contracts.intake import INTAKE
from tests.javascript import Ajv, ajv

pytestmark = pytest.mark.node

READERS: dict[str, TypeAdapter[Any]] = {
    type_: TypeAdapter(Envelope[model])  # type: ignore[valid-type]  # known at run time only
    for type_, model in INTAKE.items()
}
SAMPLES = {
    (type_, kind): json.loads((schemas.SAMPLES / f"{type_}.{kind}.json").read_text(encoding="utf-8"))
    for type_ in INTAKE
    for kind in ("full", "minimal")
}
NAMES = (Path(__file__).parent / "real_names.txt").read_text(encoding="utf-8").splitlines()

SPACES_AND_WORSE = " \t\n\r\x00\x1b\x7f\x85\xa0\xad\u061c\u115f\u180e\u200b\u200c\u200d\u2028\u202e\u2060\u3164\ufeff"
TEXTS = st.one_of(
    st.text(alphabet="aZé0-_.: /@," + SPACES_AND_WORSE, max_size=6),
    st.builds(lambda edge, middle, end: f"{edge}a{middle}b{end}", *[st.sampled_from(["", *SPACES_AND_WORSE])] * 3),
    st.integers(min_value=63, max_value=202).map("a".__mul__),
)
MOMENTS = st.sampled_from(
    [
        "2023-03-02T09:14:00Z", "2023-03-02t09:14:00z", "2023-03-02 09:14:00Z", "2023-03-02T09:14:00", "2023-03-02",
        "2023-03-02T09:14:00+01:00", "2023-03-02T09:14:00+24:00", "2023-03-02T09:14:60Z", "2023-02-29T09:14:00Z",
        "0000-03-02T09:14:00Z", "2023-03-02T24:00:00Z", "2016-12-31T23:59:60Z", "9999-12-31T23:59:59-12:00", "now", "",
        "2023-03-02T09:14:00.123456789Z",
    ]
)  # fmt: skip
NAMED = st.one_of(
    st.sampled_from(NAMES),
    st.text(alphabet="aZéΩ李 .'-,&/()\"!:`@#$%*+;<=>?[]\\^_{|}~019\u200d\n", max_size=8),
    st.integers(min_value=78, max_value=82).map("a".__mul__),
    st.integers(min_value=7, max_value=9).map(lambda number: " ".join("a" * number)),
)
ADDRESSED = st.one_of(
    st.builds("{}@{}".format, st.text(alphabet="aZ0.-+_'é @\"(\n", max_size=5), st.just("bibliotheek.example")),
    st.builds(
        "noor@{}".format, st.sampled_from(["x", "x.nl", "X.Example", "-x.nl", "x-.nl", "x..nl", "x.nl.", ".nl", ""])
    ),
    st.integers(min_value=62, max_value=66).map(lambda number: "a" * number + "@bibliotheek.example"),
)
OTHERS = st.sampled_from([None, 0, 1, -1, 1.5, True, [], {}, ["x"], {"x": 1}]).map(copy.deepcopy)
BY_FIELD = {"name": NAMED, "email": ADDRESSED, "time": MOMENTS}


@pytest.fixture(scope="module")
def judge(documents: dict[str, dict[str, Any]]) -> Iterator[Ajv]:
    with ajv() as judge:
        for type_ in INTAKE:
            assert judge.ask(schema=documents[type_]) == []
        yield judge


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a message."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*before, key)
        yield from places(inner, (*before, key))


@st.composite
def messages(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A sample with some values left out, or others in their place."""
    type_, kind = draw(st.sampled_from(sorted(SAMPLES)))
    message = copy.deepcopy(SAMPLES[type_, kind])
    for _ in range(draw(st.integers(min_value=1, max_value=3))):
        *way, last = draw(st.sampled_from(sorted(places(message), key=repr)))
        holder: Any = message
        for key in way:
            holder = holder[key]
        if isinstance(holder, dict) and draw(st.integers(max_value=4, min_value=0)) == 0:
            del holder[last]
        elif isinstance(holder, list) and draw(st.booleans()):
            holder.extend(copy.deepcopy(holder) * draw(st.sampled_from([0, 1, 60])))
        else:
            holder[last] = draw(st.one_of(BY_FIELD.get(last, TEXTS), OTHERS) if isinstance(last, str) else OTHERS)
    if draw(st.integers(max_value=3, min_value=0)) == 0 and isinstance(message.get("data"), dict):
        message["data"]["enrolment"] = draw(st.sampled_from([None, "e-1", "e 1"]))
    return type_, message


def taken(type_: str, message: Any) -> Any:
    """What the code makes of it; None where it does not take it. Which reader reads, the type says."""
    if message.get("type") != type_:
        return None
    try:
        return READERS[type_].validate_json(json.dumps(message))
    except ValidationError:
        return None


@given(messages())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_schema_and_code_take_the_same_messages(judge: Ajv, drawn: tuple[str, dict[str, Any]]) -> None:
    type_, message = drawn
    schema = f"urn:deelname:schema:{type_}"
    if (read := taken(type_, message)) is None:
        assert judge.ask(id=schema, instance=message) != [], "the schema takes what the code refuses"
    else:
        kept = read.model_dump(mode="json", exclude_none=True)
        assert judge.ask(id=schema, instance=kept) == [], "the schema refuses what the code keeps"


def test_every_name_that_people_have_fits(judge: Ajv) -> None:
    message = copy.deepcopy(SAMPLES["enrolment.request.v1", "minimal"])
    refused = {}
    for name in NAMES:
        person: BaseModel = Person(name=name, email="noor@bibliotheek.example")
        message["data"]["participants"][0]["person"] = person.model_dump(mode="json")
        if said := judge.ask(id="urn:deelname:schema:enrolment.request.v1", instance=message):
            refused[name] = said
    assert refused == {}
