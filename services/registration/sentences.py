"""What a programme is and how it stands, in the words of one language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from babel.lists import format_list
from babel.numbers import format_currency, format_decimal

from contracts import dates
from contracts.base import Language, OrganisationKind, Province
from contracts.programme import Programme, Role, Seat
from contracts.session import Occasion
from services.registration.domain.offering import Offer
from services.registration.domain.reasons import KIND_NAMES, province_name
from services.registration.domain.rules import deadline
from services.registration.words import WORDS

_COLUMNS: Final[dict[Language, int]] = {"nl": 0, "en": 1}


class Sentences:
    """Sentences in one language; the templates know them as ``say``."""

    def __init__(self, language: Language) -> None:
        self._language: Language = language
        self._locale = dates.LOCALES[language]
        self._words = WORDS[language]

    def state(self, offer: Offer) -> str:
        """Whether one can enrol, since when or until when, and how much room there is."""
        per = offer.definition.enrolment.per
        sentences = [self._state("state", offer)]
        if offer.phase == "open" and offer.free is not None:
            sentences.append(self._counted("free", offer.free, per))
        if offer.phase == "waiting":
            numbers = {0: "queue_none", 1: "queue_one"}
            sentences.append(self._words[numbers.get(offer.waiting, "queue")].format(count=offer.waiting))
        return " ".join(sentences)

    def line(self, offer: Offer) -> str:
        """When it is and how it stands, for a list of programmes."""
        return f"{self._days(offer.definition)}; {self._state('line', offer)}"

    def _state(self, form: str, offer: Offer) -> str:
        rules = offer.definition.enrolment
        until = self.until(rules.closes) if rules.closes else ""
        opens = dates.beginning(rules.opens, self._language) if rules.opens else ""
        name = f"{form}_{offer.phase}"
        if until and f"{name}_until" in self._words:
            name += "_until"
        return self._words[name].format(until=until, opens=opens)

    def _days(self, definition: Programme) -> str:
        starts = [start for session in definition.sessions if (start := session.begins)]
        if starts:
            day = dates.day(min(starts), self._language)
            return day if len(definition.sessions) == 1 else self._words["from_day"].format(day=day)
        periods = [session.period for session in definition.sessions if session.period]
        return getattr(periods[0], self._language) if periods else self._words["date_of_programme_unknown"]

    def all_of(self, words: Iterable[str]) -> str:
        """Several words: "a, b and c"."""
        return format_list(list(words), style="standard", locale=self._locale)

    def until(self, when: date) -> str:
        """Until when something can be done: "tot en met woensdag 31 mei 2023"."""
        return dates.until(when, self._language)

    def ending(self, when: date) -> str:
        """By when, or after when: "woensdag 31 mei 2023"."""
        return dates.ending(when, self._language)

    def when(self, occasion: Occasion) -> str:
        """When a session is, as far as is known."""
        if when := dates.occasion(occasion, self._language):
            return when
        return getattr(occasion.period, self._language) if occasion.period else self._words["date_unknown"]

    def where(self, occasion: Occasion) -> str:
        """Where a session is; never the link that lets people in."""
        if occasion.venue:
            return f"{occasion.venue.name}, {occasion.venue.address}"
        if occasion.online is None:
            return self._words["place_unknown"]
        platform = occasion.online.platform
        where = self._words["online_by"].format(platform=platform) if platform else self._words["online"]
        return f"{where}; {self._words['link_by_mail']}"

    def for_whom(self, definition: Programme) -> list[str]:
        """Who may come."""
        rules, words = definition.enrolment, self._words
        eligible = rules.eligible
        sentences = []
        if eligible.kinds or eligible.provinces:
            sentences.append(words["people_of"].format(who=self._who(eligible.kinds, eligible.provinces)))
            if eligible.without_organisation:
                sentences.append(words["also_without"])
        else:
            sentences.append(words["everybody" if eligible.without_organisation else "every_organisation"])
        if eligible.roles:
            sentences.append(self._for_roles([rules.role(role) for role in eligible.roles]))
        if rules.maximum_per_organisation:
            sentences.append(self._counted("maximum", rules.maximum_per_organisation, rules.per))
        return sentences

    def _for_roles(self, roles: Sequence[Role]) -> str:
        plurals = [role.plural for role in roles if role.plural is not None]
        if len(plurals) == len(roles):
            several = self.all_of(getattr(plural, self._language) for plural in plurals)
            return self._words["for_roles"].format(roles=several)
        titles = self._either(getattr(role.title, self._language) for role in roles)
        return self._words["with_role"].format(roles=titles)

    def seat(self, seat: Seat, definition: Programme) -> str:
        """A seat in a team: how many, with which roles, how long and for which sessions."""
        parts = []
        if seat.count > 1:
            parts.append(self._words["seat_people"].format(count=seat.count))
        if seat.hours is not None:
            hours = format_decimal(seat.hours, locale=self._locale)
            parts.append(self._words["seat_hours"].format(hours=hours))
        if seat.sessions is not None:
            titles = (getattr(one.title, self._language) for one in definition.sessions if one.id in seat.sessions)
            parts.append(self._words["seat_sessions"].format(sessions=self.all_of(titles)))
        title: str = getattr(seat.title, self._language)
        return f"{title}: {', '.join(parts)}" if parts else title

    def prices(self, definition: Programme) -> list[str]:
        """What it costs, for whom; the first that fits counts."""
        told: list[str] = []
        for rule in definition.enrolment.prices:
            price = self._price(rule.amount, definition.enrolment.per)
            who = self._who(rule.kinds, rule.provinces) if rule.kinds or rule.provinces else ""
            if not who and told:
                who = self._words["price_for_others"]
            sentence = self._words["price_for"].format(who=who, price=price) if who else price
            told.append(sentence[:1].upper() + sentence[1:])
        return told

    def deadline(self, now: datetime, days: int) -> str:
        """The day by which a team that comes in now must be complete."""
        return self.ending(deadline(days, now))

    def role(self, role: str, definition: Programme) -> str:
        """What people read for a role."""
        title: str = getattr(definition.enrolment.role(role).title, self._language)
        return title

    def _price(self, amount: Decimal, per: str) -> str:
        if not amount:
            return self._words["free_of_charge"]
        return self._words[f"price_{per}"].format(amount=format_currency(amount, "EUR", locale=self._locale))

    def _who(self, kinds: Iterable[OrganisationKind], provinces: Iterable[Province]) -> str:
        who = self.all_of(KIND_NAMES[kind][_COLUMNS[self._language]] for kind in kinds) or self._words["organisations"]
        where = self._either(province_name(province) for province in provinces)
        return self._words["in"].format(who=who, provinces=where) if where else who

    def _counted(self, what: str, count: int, per: str) -> str:
        return self._words[f"{what}_{'one_' if count == 1 else ''}{per}"].format(count=count)

    def _either(self, words: Iterable[str]) -> str:
        return format_list(list(words), style="or", locale=self._locale)
