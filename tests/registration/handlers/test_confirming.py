"""Confirming by a link, where the database does not take it."""

from __future__ import annotations

from datetime import timedelta

from services.chassis.identity import new_id
from services.chassis.links import Link, LinkKeys
from services.registration.handlers import enrolments
from services.registration.handlers.confirming import look, press
from services.registration.handlers.enrolments import Arrival
from services.registration.handlers.strangers import Bounds
from tests.registration.conftest import Desk, asking

KEYS = LinkKeys({"one": bytes(range(32))})


async def test_what_cannot_be_stored_is_not_said_to_be_too_late_and_can_be_pressed_again(desk: Desk) -> None:
    await desk.open()
    arrival = Arrival(desk.now, "web", "web", None, new_id, Bounds(KEYS, 0).origin("192.0.2.1"))
    assert (await desk.ask(enrolments.request(asking("noor@x.example"), arrival)))[0] == 202
    (person,) = (await desk.state()).awaited
    link = Link("confirm", person, "ontmoeting", desk.now, desk.now + timedelta(days=2))
    await desk.database.run(lambda raw: raw.execute("PRAGMA query_only = ON"))
    failed = await press(desk.writer, KEYS, link, desk.now)
    assert (failed.stage, failed.confirm_by) == ("not-stored", (await look(desk.writer, link, desk.now)).confirm_by)
    assert (await desk.state()).confirmed == 0
    await desk.database.run(lambda raw: raw.execute("PRAGMA query_only = OFF"))
    assert (await press(desk.writer, KEYS, link, desk.now)).stage == "confirmed"
    assert (await desk.stored()).confirmed == 1
