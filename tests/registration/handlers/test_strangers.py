"""Requests of strangers at the writer: what they leave behind."""

from __future__ import annotations

from services.chassis.links import LinkKeys
from services.registration.handlers import enrolments
from services.registration.handlers.repetition import digest
from services.registration.handlers.strangers import Bounds
from services.registration.work import Key
from tests.registration.conftest import Desk, asking, rules_of


async def test_what_one_source_has_refused_leaves_a_bounded_trace(desk: Desk) -> None:
    """Each gets the same answer; what is stored of them, an id's answer and those whom they name too, is for a few."""
    await desk.open(capacity=1)
    assert (await desk.request("vol@x.example"))[0] == 200
    origin = Bounds(LinkKeys({"k": b"k" * 32}), mails=3).origin("192.0.2.1")
    sizes = []
    for number in range(6):
        body = asking(f"verzonnen-{number}@x.example")
        arrival = desk.arrival("web", f"id-{number}")._replace(origin=origin)
        key = Key("web", f"id-{number}", digest(body))
        status, problem = await desk.ask(enrolments.request(body, arrival), key)
        assert (status, rules_of(problem)) == (409, ["full"])
        sizes.append([await desk.count(table) for table in ("log", "people", "requests", "enrolments")])
    assert sizes[2] == sizes[5]
    assert sizes[1] != sizes[2]
