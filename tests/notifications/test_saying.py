"""What a calendar is told, given the item as it stands and what was written about it before."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from services.notifications.domain import History, Invitation, Planned, Pointless, Said, Unread, settle, with_told
from services.notifications.domain.mails import Appointment, Detail, Taken
from services.notifications.letters import Purpose
from tests.notifications.lives import START, occasion

A, B, C = occasion("2023-06-20"), occasion("2023-06-27"), occasion("2023-07-04")
ITEM = Invitation("kick-off", "p.kick-off.x.1@deelname", 1, 4, C, START, START, "e1")
NOW = START + timedelta(days=1, milliseconds=250)
BETWEEN, AFTERWARDS = (datetime.fromisoformat(f"2023-{day}T12:00+00:00") for day in ("06-30", "07-30"))
"""After A and B and before C, and after them all."""


def said(
    sequence: int, at: object = A, *, covers: int | None = None, perhaps: bool = False, gone: bool = False
) -> Said:
    stamp = START + timedelta(minutes=sequence)
    appointment = Appointment(ITEM.uid, sequence, stamp, START, at, change=covers)  # type: ignore[arg-type]
    return Said("session-cancelled" if gone else "invite", appointment, perhaps)


def history(*, told: Said | None = None, own: Said | None = None, more: int = 0) -> History:
    written = [each.appointment for each in (told, own) if each]
    if not written:
        return History()
    return History(told, own, max(each.sequence for each in written) + more, max(each.stamp for each in written))


def mail(purpose: Purpose = "session-moved", change: int = 4) -> Planned:
    appointment = Appointment(ITEM.uid, change, START, START, B)
    return Planned("m", purpose, "noor", "p", START, "e1", "kick-off", Detail(appointment=appointment))


def told(
    item: Invitation | None, about: Planned, before: History, now: datetime = NOW
) -> tuple[str, int, object, object]:
    settled = settle(item, about, before, now)
    assert isinstance(settled, Planned), settled
    appointment = settled.detail.appointment
    assert appointment is not None
    return settled.purpose, appointment.sequence, appointment.occasion, appointment.before


def reason(item: Invitation, about: Planned, before: History) -> str:
    settled = settle(item, about, before, NOW)
    assert isinstance(settled, Pointless), settled
    return settled.reason


def test_what_is_first_told_is_an_invitation_with_sequence_zero_whichever_change_it_was_planned_for() -> None:
    assert told(ITEM, mail(), History()) == ("invite", 0, C, None)


def test_a_change_is_one_sequence_above_what_was_told_and_names_that() -> None:
    assert told(ITEM, mail(), history(told=said(1, A, covers=2))) == ("session-moved", 2, C, A)


def test_a_sequence_passes_over_what_certainly_never_arrived() -> None:
    assert told(ITEM, mail(), history(told=said(1, A, covers=2), more=3)) == ("session-moved", 5, C, A)
    assert told(ITEM, mail(), History(sequence=2, stamp=START)) == ("invite", 3, C, None)


def test_a_stamp_rises_even_if_the_clock_was_put_back_and_has_whole_seconds() -> None:
    before = history(told=said(3, A))
    for now, stamp in ((NOW, NOW.replace(microsecond=0)), (START, START + timedelta(minutes=3, seconds=1))):
        settled = settle(ITEM, mail(), before, now)
        assert isinstance(settled, Planned)
        assert settled.detail.appointment is not None
        assert settled.detail.appointment.stamp == stamp


def test_a_change_that_an_earlier_mail_covered_is_not_told_again_though_the_item_changed_since() -> None:
    before = history(told=said(1, B, covers=3))
    assert reason(ITEM, mail(change=3), before) == "an earlier mail told this change already"
    assert told(ITEM, mail(change=4), before) == ("session-moved", 2, C, B)


def test_what_came_back_to_what_was_told_is_not_told() -> None:
    assert "nothing differs" in reason(ITEM, mail(), history(told=said(0, C)))


def test_an_attempt_that_is_still_so_is_repeated_as_it_was() -> None:
    own = said(2, C, covers=4)
    settled = settle(ITEM, mail(), history(told=said(1, A), own=own), NOW)
    assert isinstance(settled, Planned)
    assert (settled.purpose, settled.detail.appointment) == (own.purpose, own.appointment)


def test_an_attempt_that_is_so_again_tells_all_changes_until_then() -> None:
    for perhaps in (False, True):
        settled = settle(ITEM, mail(change=2), history(told=said(1, A), own=said(2, C, covers=2, perhaps=perhaps)), NOW)
        assert isinstance(settled, Planned)
        appointment = settled.detail.appointment
        assert appointment is not None
        assert (appointment.sequence, appointment.occasion, appointment.covers) == (2, C, ITEM.sequence)


def test_an_attempt_that_failed_is_not_repeated_after_another_mail_told_the_same() -> None:
    failed = said(2, C, covers=4)
    assert reason(ITEM, mail(), history(told=said(1, C, covers=4), own=failed)) == (
        "an earlier mail told this change already"
    )
    assert "nothing differs" in reason(ITEM, mail(), history(told=said(1, C, covers=3), own=failed))


def test_an_attempt_that_is_not_so_any_more_is_written_anew_unless_it_may_have_arrived() -> None:
    assert told(ITEM, mail(), history(told=said(1, A), own=said(2, B))) == ("session-moved", 3, C, A)
    assert "changed since" in reason(ITEM, mail(), history(told=said(1, A), own=said(2, B, perhaps=True)))


def test_a_cancellation_takes_away_what_was_told() -> None:
    gone = replace(ITEM, standing=False, sequence=5)
    cancel = mail("session-cancelled", 5)
    assert told(gone, cancel, history(told=said(1, A))) == ("session-cancelled", 2, A, None)
    assert "never went out" in reason(gone, cancel, History(sequence=0, stamp=START))
    assert "already" in reason(gone, cancel, history(told=said(2, A, gone=True)))
    assert told(gone, cancel, history(told=said(1, A), own=said(2, A, gone=True)))[1] == 2


def test_who_was_invited_anew_still_loses_the_earlier_item() -> None:
    newer = replace(ITEM, uid="p.kick-off.x.2@deelname", number=2, sequence=0)
    assert told(newer, mail("withdrawn-invite"), history(told=said(1, A)))[:3] == ("withdrawn-invite", 2, A)
    assert "not invited" in reason(newer, mail(), history(told=said(1, A)))


def test_nobody_is_told_before_the_fold_has_read_of_it() -> None:
    assert settle(None, mail(), History(), NOW) == Unread()
    assert settle(replace(ITEM, sequence=3), mail(), history(told=said(0, A)), NOW) == Unread()


def test_words_name_the_time_that_was_told() -> None:
    taken = (Taken("kick-off", C, ITEM.uid), Taken("slot", B, "other"), Taken("old", B))
    words = Planned("m", "withdrawn", "noor", "p", START, "e1", None, Detail(taken=taken))
    named = with_told(words, {ITEM.uid: history(told=said(1, A))}, NOW).detail.taken
    assert [each.occasion for each in named] == [A, B, B]


def test_words_do_not_name_what_was_over_by_the_time_that_was_told() -> None:
    words = Planned("m", "withdrawn", "noor", "p", START, "e1", None, Detail(taken=(Taken("kick-off", C, ITEM.uid),)))
    assert with_told(words, {ITEM.uid: history(told=said(1, A))}, BETWEEN).detail.taken == ()


def test_a_calendar_does_not_keep_a_later_date_than_the_one_on_which_it_took_place() -> None:
    held_on_a = replace(ITEM, occasion=A)
    assert told(held_on_a, mail(), history(told=said(1, C)), BETWEEN) == ("session-moved", 2, A, C)
    gone = replace(held_on_a, standing=False, sequence=5)
    cancel = mail("session-cancelled", 5)
    assert told(gone, cancel, history(told=said(1, C)), BETWEEN) == ("session-cancelled", 2, C, None)


def test_a_cancellation_goes_out_while_a_calendar_may_show_a_date_to_come() -> None:
    """What was told last, of a date that has passed, may be lost: then the calendar shows what was told before it."""
    gone = replace(ITEM, standing=False, sequence=5)
    cancel = mail("session-cancelled", 5)
    lost = history(told=said(2, A, perhaps=True))._replace(before=(said(1, C),))
    assert told(gone, cancel, lost, BETWEEN)[:2] == ("session-cancelled", 3)
    assert settle(gone, cancel, lost._replace(before=(said(1, A),)), BETWEEN) == Pointless("the session is over")


def test_nothing_goes_into_or_out_of_a_calendar_in_which_the_session_is_over() -> None:
    held_on_a = replace(ITEM, occasion=A)
    for item, about, before in (
        (held_on_a, mail(), History()),
        (held_on_a, mail(), history(told=said(1, A))),
        (held_on_a, mail("invite"), history(own=said(0, A))),
        (ITEM, mail("session-cancelled", 4), history(told=said(1, A))),
        (held_on_a, mail("session-cancelled", 4), History()),
    ):
        assert settle(item, about, before, BETWEEN) == Pointless("the session is over")
    assert settle(held_on_a, mail(), history(told=said(1, C)), AFTERWARDS) == Pointless("the session is over")
    assert told(ITEM, mail(), history(told=said(1, A)), BETWEEN) == ("session-moved", 2, C, A)
