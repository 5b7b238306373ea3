"""A letter turned into words: subject, plain text, HTML and calendar part.

The words of each purpose stand once, in `templates/<language>/<purpose>.j2`, and are shared by the text and the HTML
layout, so that the two can never say different things. The MJML layout is compiled once a process.

Most of a mail is the same for everybody who gets it: the layouts are cut, at their marks, into pieces that are shared
and pieces that are one person's own. What is shared is rendered and encoded once and kept; nothing personal is kept.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from importlib.resources import files
from typing import Any, NamedTuple, get_args

from babel import Locale
from jinja2 import FunctionLoader, StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from mjml import mjml2html

from contracts.dates import LOCALES, day, ending, until
from contracts.moments import last_day
from services.notifications import invitation, views
from services.notifications.hygiene import line, link, mailbox, paragraphs
from services.notifications.letters import (
    Address,
    AlreadyEnrolled,
    CalendarOccasion,
    Confirmation,
    ConfirmationRequest,
    Declined,
    Invite,
    Lacking,
    Language,
    Letter,
    Occasion,
    Programme,
    ProgrammeCancelled,
    Promotion,
    Purpose,
    Readdressed,
    Refusal,
    SessionCancelled,
    SessionMoved,
    TeamIncomplete,
    ToContact,
    Undeliverable,
    Waiting,
    Withdrawn,
    WithdrawnInvite,
)
from services.notifications.links import PERSONAL_LINK
from services.notifications.quoted import Piece
from services.notifications.views import View

LONGEST_OUTPUT = 200_000
"""Characters of one part. A mail beyond this is a mistake in its input, and Gmail would clip it long before."""

LONGEST_DESCRIPTIONS = 15_000
"""Characters that all descriptions of sessions in one mail may take together; the programme's page has them whole."""

SHARED_KEPT = 256
"""Letters of which the shared pieces are kept, some 40 kB each: occasions of programmes, not recipients."""

_CUT = re.compile(r"[ \t]*\{# cut #\}\n?")
_SOMEBODY = "somebody"
_NOTHING = Piece("", b"")
_IN_NO_CAPACITY = (_NOTHING, _NOTHING)
_WITH_CAPACITY = Confirmation | Promotion | Waiting | Invite
_ONES_OWN = Refusal | TeamIncomplete | ToContact | ConfirmationRequest
_BLOCKS = ("subject", "preheader", "heading", "opening", "closing")


def for_others(letter: Letter) -> Letter:
    """A letter as anybody but its recipient may see it: that it holds a link, and not which."""
    match letter.occasion:
        case ConfirmationRequest(deadline):
            return letter._replace(occasion=ConfirmationRequest(deadline))
        case _:
            return letter


class LetterTooLong(ValueError):  # noqa: N818  (reads as what is the matter)
    """A rendered part exceeds `LONGEST_OUTPUT`."""


class Rendered(NamedTuple):
    """The words of one mail, most of them encoded before. `calendar` and `method` are both set or both None."""

    subject: str
    text_pieces: tuple[Piece, ...]
    html_pieces: tuple[Piece, ...]
    calendar: bytes | None = None
    method: invitation.Method | None = None

    @property
    def text(self) -> str:
        """The whole plain text."""
        return "".join(piece.text for piece in self.text_pieces)

    @property
    def html(self) -> str:
        """The whole page."""
        return "".join(piece.text for piece in self.html_pieces)


class _Sandbox(ImmutableSandboxedEnvironment):
    """A template may look into dicts and nothing else, and has no operator that makes gigabytes of a short string."""

    intercepted_binops = frozenset(("*", "**", "%"))

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return self.undefined(obj=obj, name=attribute)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002
        raise TypeError(f"a mail template may not use the operator {operator}")


@dataclass(frozen=True, slots=True)
class _Words:
    """One purpose in one language: the blocks of its template, each a function from a context to pieces of text."""

    template: Template
    blocks: tuple[Callable[..., Iterable[str]], ...]

    def say(self, view: dict[str, Any]) -> list[str]:
        context = self.template.new_context(view)
        return ["".join(block(context)) for block in self.blocks]


class _Layout:
    """A layout cut at its marks: a greeting and a capacity, which not all recipients share, and three pieces around."""

    def __init__(self, environment: ImmutableSandboxedEnvironment, source: str) -> None:
        whole = environment.overlay(keep_trailing_newline=True)
        *shared, last = map(whole.from_string, _CUT.split(source))
        first, greeting, second, self._capacity = shared
        self._shared = (first, second, last)
        # Rendered once and parted where the greeting belongs: a context for each recipient costs more than the words.
        self._before, _, self._after = greeting.render(greeting=_SOMEBODY).partition(_SOMEBODY)
        self._escape = whole.filters["escape"] if whole.autoescape else str

    def shared(self, view: View) -> tuple[Piece, Piece, Piece]:
        first, second, last = (_piece(template.render(view)) for template in self._shared)
        return first, second, last

    def greeting(self, words: str) -> Piece:
        return _piece(f"{self._before}{self._escape(words)}{self._after}")

    def capacity(self, details: Sequence[View]) -> Piece:
        return _piece(self._capacity.render(details=details))


class _Common(NamedTuple):
    """What a letter has in common with others: `told` is its occasion, without whose calendar item it is about."""

    programme: Programme
    purpose: Purpose
    told: object
    language: Language
    invited: bool
    year: int | None


class _Shared(NamedTuple):
    """What everybody is told whose letters have a `_Common` in common."""

    subject: str
    text: tuple[Piece, Piece, Piece]
    html: tuple[Piece, Piece, Piece]
    outline: invitation.Outline | None
    length: int


class Templates:
    """All that is read, compiled and checked before the first mail: the same for every sender.

    Raises a Jinja error for a broken template, and ValueError for one that lacks a block.
    """

    def __init__(self) -> None:
        plain, page = _environment(autoescape=False), _environment(autoescape=True)
        words = plain.overlay(trim_blocks=False)
        self.text = _Layout(plain, _source("layout.txt"))
        self.description = plain.get_template("description.txt")
        self.html = _Layout(page, _source("layout.html"))
        languages: tuple[Language, ...] = get_args(Language)
        purposes: tuple[Purpose, ...] = get_args(Purpose)
        self.labels = {language: _labels(words.get_template(f"{language}/labels.j2")) for language in languages}
        self.words = {
            (purpose, language): _words(words.get_template(f"{language}/{purpose}.j2"))
            for purpose in purposes
            for language in languages
        }


@cache
def templates() -> Templates:
    """The templates of this process: compiling them is half of what it takes to start the service."""
    return Templates()


class Renderer:
    """Renders letters. Make one and keep it: what people are told in common is kept between mails.

    `sender` is the stable From of every mail and the ORGANIZER of every invitation, a mailbox that somebody reads;
    `public_url` is where the pages of the programmes stand, for programmes that name no page of their own.
    Raises UnusableAddress for a sender that no mail can come from, and what `Templates` does.
    """

    def __init__(self, sender: Address, public_url: str) -> None:
        self.sender = Address(line(sender.name), mailbox(sender.mailbox))
        self.public_url = (link(public_url) or "").rstrip("/")
        compiled = templates()
        self._text, self._html, self._description = compiled.text, compiled.html, compiled.description
        self._labels, self._words = compiled.labels, compiled.words
        self._kept: dict[_Common, _Shared] = {}
        self._capacities = lru_cache(maxsize=SHARED_KEPT)(self._say_capacity)

    def render(self, letter: Letter) -> Rendered:
        """The mail in the recipient's language. Equal letters give equal bytes.

        An occasion with a calendar gives no calendar part if the recipient is the organiser's own mailbox: calendars
        refuse to let organisers invite themselves. Raises UnusableAddress and LetterTooLong.
        """
        recipient, occasion = letter.recipient, letter.occasion
        calendar = occasion.calendar if isinstance(occasion, CalendarOccasion) else None
        if calendar is not None and mailbox(recipient.mailbox).lower() == self.sender.mailbox.lower():
            calendar = None
        shared = self._shared(letter, invited=calendar is not None)
        labels, name = self._labels[recipient.language], views.title_of(recipient.name)
        words = f"{labels['greeting']} {name}," if name else f"{labels['greeting_nobody']},"
        greeting, greeting_html = self._text.greeting(words), self._html.greeting(words)
        capacity, capacity_html = self._capacity(letter) if isinstance(occasion, _WITH_CAPACITY) else _IN_NO_CAPACITY
        # The page is longer than the text: it says the same in more characters.
        length = shared.length + len(greeting_html.text) + len(capacity_html.text)
        if length > LONGEST_OUTPUT:
            raise LetterTooLong(f"a mail of {length} characters for purpose {letter.purpose}")
        first, second, last = shared.text
        text = (first, greeting, second, capacity, last)
        first, second, last = shared.html
        html = (first, greeting_html, second, capacity_html, last)
        if calendar is None or shared.outline is None:
            return Rendered(shared.subject, text, html)
        attendee = Address(recipient.name, recipient.mailbox)
        return Rendered(shared.subject, text, html, shared.outline.to(attendee, calendar), shared.outline.method)

    def _capacity(self, letter: Letter) -> tuple[Piece, Piece]:
        # Once is enough: not with the invitation for each session too.
        price, hours = (None, None) if isinstance(letter.occasion, Invite) else (letter.price, letter.hours)
        capacity = views.Capacity(letter.organisation, letter.seat, letter.role, price, hours)
        return self._capacities(capacity, letter.recipient.language) if any(capacity) else _IN_NO_CAPACITY

    def _say_capacity(self, capacity: views.Capacity, language: Language) -> tuple[Piece, Piece]:
        details = views.of_capacity(capacity, self._labels[language], language)
        return self._text.capacity(details), self._html.capacity(details)

    def _shared(self, letter: Letter, *, invited: bool) -> _Shared:
        """The pieces that do not depend on who reads them."""
        occasion = letter.occasion
        if isinstance(occasion, _ONES_OWN) or getattr(occasion, "lacking", None) is not None:
            # Reasons, empty seats, names and links are one enrolment's own: nobody else will be told the same.
            return self._say(letter, invited=invited)
        language = letter.recipient.language
        common = _Common(letter.programme, letter.purpose, _told(occasion), language, invited, letter.year)
        shared = self._kept.get(common)
        if shared is None:
            shared = self._say(letter, invited=invited)
            self._kept[common] = shared
            while len(self._kept) > SHARED_KEPT:
                del self._kept[next(iter(self._kept))]
        return shared

    def _say(self, letter: Letter, *, invited: bool) -> _Shared:
        view = self._view(letter, invited=invited)
        subject, preheader, heading, opening, closing = self._words[letter.purpose, letter.recipient.language].say(view)
        view["subject"] = line(subject)
        view["preheader"] = line(preheader)
        view["heading"] = line(heading)
        view["opening"] = paragraphs(opening)
        view["closing"] = paragraphs(closing)
        text, html = self._text.shared(view), self._html.shared(view)
        outline = invitation.outline(self._event(letter, view)) if invited else None
        return _Shared(view["subject"], text, html, outline, sum(len(piece.text) for piece in html))

    def _view(self, letter: Letter, *, invited: bool) -> dict[str, Any]:
        """Everything that a shared piece may see: strings, numbers, lists and dicts of them, a function for plurals."""
        language, programme, occasion = letter.recipient.language, letter.programme, letter.occasion
        labels = self._labels[language]
        title = views.title_of(programme.title)
        organisers = [name for organiser in programme.organisers if (name := line(organiser))]
        of_session = partial(views.of_session, labels=labels, language=language, year=letter.year)
        contacts = views.of_contacts(programme.content, programme.enrolment, labels)
        view: dict[str, Any] = {
            "language": language,
            "labels": labels,
            "plural": _plural(language),
            "sender": self.sender.mailbox,
            "signature": views.enumeration(organisers, labels["and"]) or self.sender.name,
            "footer": self._footer(letter, title, contacts),
            "page": self._page(programme),
            "programme": {"title": title, "team": programme.team},
            "about": [],
            "contacts": contacts,
            "points": [],
            "sessions": [],
            "session": None,
            "first": None,
            "lacking": None,
            "year": letter.year,
            "invitation": invited,
            "action": "",
        }
        match occasion:
            case ConfirmationRequest(deadline, address):
                view["action"] = address or PERSONAL_LINK
                view["page"] = ""
                view["until"] = until(deadline, language)
            case AlreadyEnrolled(waiting, sessions):
                view["waiting"] = waiting
                view["sessions"] = [of_session(session) for session in sessions]
            case Confirmation(sessions, lacking) | Promotion(sessions, lacking):
                room = LONGEST_DESCRIPTIONS // max(len(sessions), 1)
                view["sessions"] = [of_session(session, described=room) for session in sessions]
                view["about"] = paragraphs(programme.description)
                _say_what_lacks(view, lacking, language)
                dated = [session for session in sessions if session.slot.start is not None]
                if dated:
                    earliest = min(dated, key=views.start_of)
                    view["first"] = view["sessions"][sessions.index(earliest)]
            case Waiting(place):
                view["place"] = place
            case Refusal(reasons):
                view["points"] = [reason for text in reasons if (reason := line(text))]
            case TeamIncomplete(lacking):
                _say_what_lacks(view, lacking, language)
            case Undeliverable() | Declined():
                view |= views.of_notice(occasion, of_session)
            case ProgrammeCancelled(sessions, reason):
                view["reason"] = "\n\n".join(paragraphs(reason or ""))
                view["sessions"] = [of_session(session, struck=True) for session in sessions]
            case Withdrawn(sessions, cause, reason, waited):
                view["cause"], view["reason"], view["waited"] = cause, line(reason), waited
                view["sessions"] = [of_session(session, brief=True) for session in sessions]
            case _:
                view |= _of_calendar(occasion, of_session)
        if view["session"] is not None:
            view["sessions"] = [view["session"]]
        return view

    def _footer(self, letter: Letter, title: str, contacts: Sequence[View]) -> str:
        """Why this mail came, and who reads the answers to it."""
        labels, occasion = self._labels[letter.recipient.language], letter.occasion
        why = labels.get(f"footer_{letter.purpose.replace('-', '_')}", labels["footer"])
        reader = next((contact["name"] for contact in reversed(contacts) if contact["mailbox"]), "")
        if isinstance(occasion, ToContact) or not reader:
            return str(why.replace("{programme}", title))
        return f"{why} {labels['replies']}".replace("{programme}", title).replace("{contact}", reader)

    def _page(self, programme: Programme) -> str:
        if programme.page:
            return link(programme.page) or ""
        return link(f"{self.public_url}/programmes/{programme.id}") or "" if self.public_url else ""

    def _event(self, letter: Letter, view: View) -> invitation.Event:
        occasion, session = letter.occasion, view["session"]
        assert isinstance(occasion, CalendarOccasion)  # noqa: S101  (nobody is invited to another one)
        slot = occasion.session.slot
        assert slot.start is not None  # noqa: S101  (letters refuses a calendar occasion without a date)
        assert slot.end is not None  # noqa: S101
        cancelled = isinstance(occasion, SessionCancelled | WithdrawnInvite | Readdressed)
        title = session["title"]
        return invitation.Event(
            method="CANCEL" if cancelled else "REQUEST",
            start=slot.start,
            end=slot.end,
            all_day=slot.all_day,
            summary=title if title == view["programme"]["title"] else f"{title} ({view['programme']['title']})",
            description=self._description.render(view),
            location=session["where"],
            organiser=self.sender,
            off=isinstance(occasion, SessionCancelled),
            join=session["join"] if session["clickable"] else None,
            join_label=view["labels"]["join"],
            reminder=title,
            page=view["page"],
        )


def _of_calendar(occasion: CalendarOccasion, of_session: Callable[..., View]) -> View:
    """What a mail about one session shows."""
    match occasion:
        case SessionCancelled(session, _, postponed):
            return {"postponed": postponed, "session": of_session(session, struck=True)}
        case WithdrawnInvite(session) | Readdressed(session):
            return {"session": of_session(session, brief=True)}
        case Invite(session, _, again):
            return {"again": again, "session": of_session(session, described=LONGEST_DESCRIPTIONS)}
        case SessionMoved(session, before):
            change = views.change_of(before, session.slot)
            return {"change": change, "session": of_session(session, before=before)}


def _say_what_lacks(view: dict[str, Any], lacking: Lacking | None, language: Language) -> None:
    if lacking is not None:
        missing = [seat for text in lacking.missing if (seat := line(text))]
        view["points"] = missing
        view["lacking"] = {
            "count": lacking.people or len(missing),
            "deadline": ending(lacking.deadline, language),
            "until": until(lacking.deadline, language),
            "day": day(last_day(lacking.deadline), language, view["year"]),
            "awaiting": lacking.awaiting,
        }


def _told(occasion: Occasion) -> object:
    """What an occasion tells, without whose calendar item it is about."""
    match occasion:
        case Invite(session, _, again):
            return session, again
        case WithdrawnInvite(session) | Readdressed(session):
            return session
        case SessionMoved(session, before):
            return session, before
        case SessionCancelled(session, _, postponed):
            return session, postponed
        case _:
            return occasion


def _piece(text: str) -> Piece:
    """A part of a text or a page, on lines of its own."""
    return Piece.of(text + "\n" if text and not text.endswith("\n") else text)


def _environment(*, autoescape: bool) -> _Sandbox:
    environment = _Sandbox(
        loader=FunctionLoader(_source),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.clear()
    return environment


def _source(name: str) -> str:
    templates = files("services.notifications") / "templates"
    if name != "layout.html":
        return (templates / name).read_text(encoding="utf-8")
    layout = (templates / "layout.mjml").read_text(encoding="utf-8")
    # Without fonts={} the compiler links a third party's web font, and every reader would be reported to it.
    compiled = mjml2html(layout, disable_comments=True, fonts={})
    return re.sub(r"\s*\n\s*", " ", re.sub(r">\s*\n\s*", ">", str(compiled)))


def _labels(template: Template) -> View:
    return {name: str(value) for name, value in vars(template.module).items() if not name.startswith("_")}


def _words(template: Template) -> _Words:
    missing = set(_BLOCKS) - set(template.blocks)
    if missing:
        raise ValueError(f"{template.name} lacks the blocks {', '.join(sorted(missing))}")
    return _Words(template, tuple(template.blocks[name] for name in _BLOCKS))


@lru_cache
def _plural(language: Language) -> Callable[[int, str, str], str]:
    form = Locale.parse(LOCALES[language]).plural_form

    def plural(count: int, one: str, other: str) -> str:
        return one if form(count) == "one" else other

    return plural
