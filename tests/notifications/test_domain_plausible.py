"""For any plausible log: agendas end up right, and no calendar is ever told anything that it would have to ignore."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.chassis.state import State
from services.notifications.domain import NOTHING, Agenda, Planned, invitation_of, obstacle, settle, step
from services.notifications.domain.mails import CANCELS, REQUESTS
from tests.notifications.lives import PROGRAMME
from tests.notifications.plausible import OPERATIONS, World


class AnyLife(RuleBasedStateMachine):
    """Registration writes on, and after each fact everything that was ever planned must hold together."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.checked = 0
        self.last: dict[str, tuple[int, str]] = {}
        self.ids: set[str] = set()

    @rule(operation=st.sampled_from(OPERATIONS), data=st.data())
    def something_happens(self, operation: str, data: st.DataObject) -> None:
        self.world.step(operation, lambda below: data.draw(st.integers(0, below - 1)))

    @invariant()
    def an_item_stands_iff_its_person_takes_part_in_a_session_to_come(self) -> None:
        standing = {
            (agenda.person, each.session)
            for agenda in self.world.life.state.partition(PROGRAMME).values()
            if isinstance(agenda, Agenda)
            for each in agenda.invitations
            if each.standing and each.occasion.finishes is not None and each.occasion.finishes > self.world.now
        }
        assert standing == self.world.wanted()

    @invariant()
    def an_item_that_stands_says_the_present_time_and_place(self) -> None:
        for agenda in self.world.life.state.partition(PROGRAMME).values():
            if isinstance(agenda, Agenda):
                for each in agenda.invitations:
                    if (agenda.person, each.session) in self.world.wanted():
                        assert each.occasion == self.world.sessions[each.session]

    @invariant()
    def sequences_rise_and_nothing_follows_a_cancel(self) -> None:
        for mail in self.world.life.mails[self.checked :]:
            assert mail.id not in self.ids, "one fact never mails the same thing twice"
            self.ids.add(mail.id)
            if (appointment := mail.detail.appointment) is None:
                continue
            sequence, purpose = self.last.get(appointment.uid, (-1, ""))
            assert appointment.sequence == sequence + 1
            assert purpose not in CANCELS
            assert (mail.purpose == "invite") == (sequence == -1)
            assert mail.purpose in REQUESTS | CANCELS
            self.last[appointment.uid] = (appointment.sequence, mail.purpose)
        self.checked = len(self.world.life.mails)

    @invariant()
    def nobody_gets_two_mails_in_words_for_one_fact(self) -> None:
        fact = self.world.life.facts[-1]
        in_words = [
            mail.person
            for mail in self.world.life.mails
            if mail.due_at == fact.time and mail.detail.appointment is None
        ]
        assert len(in_words) == len(set(in_words))

    @invariant()
    def only_who_is_awaited_is_asked(self) -> None:
        life = self.world.life
        awaited = {
            (id_, person)
            for id_, each in self.world.enrolments.items()
            if each.status == "pending" and not self.world.off
            for person in each.seats
        }
        asked = {
            (mail.enrolment, mail.person)
            for mail in life.mails
            if mail.purpose == "confirmation-request" and obstacle(life.state, mail, life.time) is None
        }
        assert asked <= awaited

    @invariant()
    def who_confirmed_nothing_gets_nothing_but_that_mail(self) -> None:
        fact = self.world.life.facts[-1]
        took_part = {
            person for each in self.world.enrolments.values() if each.status != "pending" for person in each.seats
        }
        for mail in self.world.life.mails:
            if mail.due_at == fact.time and mail.person not in took_part:
                assert mail.purpose in ("confirmation-request", "already-enrolled", "withdrawn", *CANCELS)

    @precondition(lambda self: self.world.life.mails)
    @invariant()
    def what_stands_in_nobodys_way_is_about_what_is_so(self) -> None:
        life = self.world.life
        for mail in life.mails:
            if mail.purpose in REQUESTS and obstacle(life.state, mail, life.time) is None:
                item = invitation_of(life.state, mail.programme, mail.person, mail.session or "")
                goes_out = isinstance(settle(item, mail, NOTHING, life.time), Planned)
                assert goes_out == ((mail.person, mail.session) in self.world.wanted())

    def teardown(self) -> None:
        state = State()
        mails: list[Planned] = []
        for fact in self.world.life.facts:
            state, planned = step(state, fact)
            mails += planned
        assert mails == self.world.life.mails, "the same log always plans the same mails"


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
