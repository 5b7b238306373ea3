"""One person's mails over the life of a year track, in Dutch and in English: what the golden files are made of."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache

from services.notifications import message
from services.notifications.letters import (
    Address,
    AlreadyEnrolled,
    Calendar,
    Confirmation,
    ConfirmationRequest,
    Contact,
    Declined,
    Invite,
    Lacking,
    Language,
    Letter,
    Occasion,
    Online,
    Place,
    Price,
    Programme,
    ProgrammeCancelled,
    Promotion,
    Purpose,
    Readdressed,
    Recipient,
    Refusal,
    Session,
    SessionCancelled,
    SessionMoved,
    Slot,
    TeamIncomplete,
    ToContact,
    Undeliverable,
    Venue,
    Waiting,
    Withdrawn,
    WithdrawnInvite,
)
from services.notifications.rendering import Rendered, Renderer

SENDER = Address("Deelname", "deelname@deelname.example")
PUBLIC_URL = "https://deelname.example"
DOMAIN = "deelname.example"
CONFIRM = f"{PUBLIC_URL}/confirm/k1.{'Y3xub29yfGdlemluc2FhbnBhay0yMDIzfDE2Nzc3NDgwODB8MTY3NzkyMDg4MA' * 2}.{'s' * 43}"
GOUDA = Venue("Bibliotheek Gouda", "Agnietenstraat 100, Gouda")
TEAMS = Online("https://teams.microsoft.com/l/meetup-join/19%3ameeting_Zq?context=%7b%22Tid%22%7d&x=1")
FIRST_MAIL = datetime(2023, 3, 2, 9, 14, tzinfo=UTC)


def at(month: int, day: int, hour: int, minute: int = 0, *, year: int = 2023) -> datetime:
    """An instant by its hour in UTC: in the summer of 2023, two hours behind the clock in Amsterdam."""
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def slot(month: int, day: int, begin: int, end: int, place: Place | None = GOUDA) -> Slot:
    return Slot(at(month, day, begin), at(month, day, end), place)


UTRECHT = Venue("De Bibliotheek Utrecht", "Neude 11, Utrecht")
DEADLINE = at(5, 8, 22)
KICK_OFF = Session("kick-off", "Kick-off", slot(5, 23, 13, 14, TEAMS))
WORK_1 = Session(
    "werksessie-1",
    "Werksessie 1 – Interne samenwerking",
    slot(6, 20, 8, 11),
    lunch=True,
    description="Hoe verbind je jeugd en volwassenen?\n\nNeem de uitkomsten van de Quickscan mee.",
)
WORK_1_MOVED = Session("werksessie-1", "Werksessie 1 – Interne samenwerking", slot(6, 27, 12, 14, TEAMS))
WORK_2 = Session("werksessie-2", "Werksessie 2 – Externe samenwerking", slot(9, 19, 8, 11), lunch=True)
WRAP_UP = Session("wrap-up", "Digitale wrap-up", Slot(place=Online()))
WRAP_UP_IN_JANUARY: dict[Language, Session] = {
    "nl": replace(WRAP_UP, slot=Slot(place=Online(), period="januari 2024")),
    "en": replace(WRAP_UP, slot=Slot(place=Online(), period="January 2024")),
}
SESSIONS = (KICK_OFF, WORK_1, WORK_2, WRAP_UP)
PROGRAMME = Programme(
    id="gezinsaanpak-2023",
    title="Werktraject gezinsaanpak",
    organisers=("BiSC", "Probiblio"),
    description=(
        "In dit werktraject bereidt je bibliotheek zich in ongeveer twaalf maanden voor op de gezinsaanpak.\n\n"
        "Per bibliotheek nemen twee medewerkers deel: één collega Jeugd & Educatie en één collega Basisvaardigheden."
    ),
    content=Contact("Katja Voorbeeld", "katja@bisc.example", "030 123 45 67"),
    enrolment=Contact("Aanmeldpunt BiSC", "aanmelden@bisc.example"),
    team=True,
)
CALENDAR = Calendar("werksessie-1.0191.1@deelname.example", 0, FIRST_MAIL, FIRST_MAIL)
MOVED = Calendar(CALENDAR.uid, 1, FIRST_MAIL + timedelta(days=30), FIRST_MAIL)
CANCELLED = Calendar(CALENDAR.uid, 2, FIRST_MAIL + timedelta(days=60), FIRST_MAIL)
BACK = Calendar("werksessie-1.0191.2@deelname.example", 0, FIRST_MAIL + timedelta(days=62), FIRST_MAIL)
RECIPIENTS: dict[Language, Recipient] = {
    "nl": Recipient("Zoë de Wit", "zoe@bibliotheek-zeist.example", "nl"),
    "en": Recipient("Sam Baker", "sam@bibliotheek-zeist.example", "en"),
}
REASONS: dict[Language, tuple[str, ...]] = {
    "nl": (
        "De aanmelding is gesloten. Aanmelden kon tot en met maandag 8 mei 2023.",
        "Dit programma is voor bibliotheken in Utrecht.",
    ),
    "en": (
        "Enrolment is closed. It was open up to and including Monday 8 May 2023.",
        "This programme is for libraries in Utrecht.",
    ),
}
LAPSED: dict[Language, str] = {
    "nl": "Het team was op maandag 8 mei 2023 niet compleet.",
    "en": "The team was not complete on Monday 8 May 2023.",
}


def occasions(language: Language) -> Iterator[tuple[Occasion, datetime]]:
    """Every occasion of the life cycle in its order, with the time of its mail."""
    first = FIRST_MAIL
    yield Confirmation(SESSIONS), first
    yield Invite(WORK_1, CALENDAR), CALENDAR.stamp
    yield SessionMoved(WORK_1_MOVED, WORK_1.slot, MOVED), MOVED.stamp
    yield SessionCancelled(WORK_1_MOVED, CANCELLED), CANCELLED.stamp
    yield WithdrawnInvite(WORK_1_MOVED, CANCELLED), CANCELLED.stamp
    yield Withdrawn((KICK_OFF, WORK_2)), first + timedelta(days=61)
    yield Waiting(3), first
    yield Promotion((KICK_OFF,)), first + timedelta(days=5)
    yield Refusal(REASONS[language]), first
    yield TeamIncomplete(Lacking(("Manager",) if language == "nl" else ("Manager", "Basic skills"), DEADLINE)), first
    yield ProgrammeCancelled((WORK_2,), "Te weinig bibliotheken doen mee." if language == "nl" else None), first
    yield Undeliverable("Noor de Wit", "noor@bibliotheek-zeist.example"), first + timedelta(days=3)
    yield SessionCancelled(WRAP_UP_IN_JANUARY[language]), first + timedelta(days=60)
    yield ConfirmationRequest(first + timedelta(days=2), CONFIRM), first
    yield AlreadyEnrolled(waiting=False, sessions=(KICK_OFF, WORK_1)), first + timedelta(days=1)
    yield AlreadyEnrolled(waiting=True), first + timedelta(days=1)
    yield TeamIncomplete(Lacking(("Manager",), DEADLINE, awaiting=True)), first
    yield Confirmation(SESSIONS, Lacking(("Manager", "Collega Jeugd"), DEADLINE)), first
    yield Promotion(SESSIONS, Lacking(("Manager",), DEADLINE, awaiting=True)), first
    yield Withdrawn((KICK_OFF,), cause="lapsed", reason=LAPSED[language]), first + timedelta(days=61)
    yield Withdrawn(cause="asked", waited=True), first + timedelta(days=61)
    yield Withdrawn((KICK_OFF, WORK_2), cause="asked"), first + timedelta(days=61)
    yield Withdrawn((KICK_OFF,), cause="replaced"), first + timedelta(days=61)
    yield SessionMoved(replace(WORK_1, slot=slot(6, 20, 9, 12)), WORK_1.slot, MOVED), MOVED.stamp
    yield SessionMoved(replace(WORK_1, slot=slot(6, 20, 8, 11, UTRECHT)), WORK_1.slot, MOVED), MOVED.stamp
    yield SessionMoved(KICK_OFF, replace(KICK_OFF.slot, place=Online("https://example.org/old")), MOVED), MOVED.stamp
    yield SessionCancelled(WORK_1, CANCELLED, postponed=True), CANCELLED.stamp
    ids = ("018f3d5e-0000-7000-8000-000000000001", "018f3d5e-0000-7000-8000-000000000002")
    words = ("Ik ben dan op vakantie.\nMag een collega?",) if language == "nl" else ()
    yield Declined("Noor de Wit", *ids, (WORK_1,), words=words), first + timedelta(days=4)
    yield Declined("Noor de Wit", *ids, (WORK_1, WORK_2), (KICK_OFF,)), first + timedelta(days=4)
    yield Declined("Noor de Wit", *ids, (), (KICK_OFF,)), first + timedelta(days=4)
    yield Invite(WORK_1, BACK, again=True), BACK.stamp
    yield Invite(WRAP_UP_IN_JANUARY[language], again=True), BACK.stamp
    yield Readdressed(WORK_1_MOVED, CANCELLED), CANCELLED.stamp


@cache
def renderer() -> Renderer:
    return Renderer(SENDER, PUBLIC_URL)


def letter(occasion: Occasion, language: Language = "nl", programme: Programme = PROGRAMME) -> Letter:
    if isinstance(occasion, ToContact):
        # It goes to the contact, who need not be told whom to ask.
        programme = replace(programme, content=None, enrolment=None)
    if isinstance(occasion, ConfirmationRequest | Readdressed):
        return Letter(RECIPIENTS[language]._replace(name=""), programme, occasion)
    return Letter(
        recipient=RECIPIENTS[language],
        programme=programme,
        occasion=occasion,
        organisation="Bibliotheek Zeist",
        seat="Jeugd & Educatie" if language == "nl" else "Youth & Education",
        role="Educatiespecialist" if language == "nl" else "Education specialist",
        price=Price(Decimal("49.50")),
        hours=20,
        year=2023,
    )


def render(occasion: Occasion, language: Language = "nl") -> Rendered:
    return renderer().render(letter(occasion, language))


def identifier(purpose: Purpose, language: Language) -> str:
    return message.message_id(f"{purpose}-{language}", RECIPIENTS[language].mailbox, DOMAIN)


@cache
def life_cycle() -> tuple[tuple[str, Letter, Rendered, bytes], ...]:
    """Name, letter, words and bytes of every mail, threaded as the service threads them."""
    return tuple(_life_cycle())


def _life_cycle() -> Iterator[tuple[str, Letter, Rendered, bytes]]:
    languages: tuple[Language, ...] = ("nl", "en")
    for language in languages:
        thread: list[str] = []
        for number, (occasion, date) in enumerate(occasions(language), start=1):
            sample = letter(occasion, language)
            rendered = renderer().render(sample)
            own = identifier(occasion.purpose, language)
            previous = thread[-1] if rendered.calendar and thread else None
            raw = message.compose(
                rendered,
                sample,
                sender=SENDER,
                message_id=own,
                date=date,
                in_reply_to=previous,
                references=thread if rendered.calendar else (),
            )
            if number == 1 or rendered.calendar:
                thread.append(own)
            yield f"{number:02}-{occasion.purpose}.{language}", sample, rendered, raw
