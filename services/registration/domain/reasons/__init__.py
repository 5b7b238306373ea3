"""
Why: the name of every rule, and its sentence in Dutch and in English.

The sentences go into the log, so they may speak of the programme and of numbers, never of persons.
"""

from services.registration.domain.reasons.changes import (
    no_room,
    no_such_enrolment,
    no_such_participant,
    no_such_programme,
    not_active,
    not_waiting,
    others_wait,
)
from services.registration.domain.reasons.publishing import (
    capacity_below_confirmed,
    per_changed,
    unknown_goal,
    unknown_organiser,
    unknown_theme,
)
from services.registration.domain.reasons.requests import (
    already_enrolled,
    closed,
    full,
    kind_not_eligible,
    larger_than_capacity,
    named_twice,
    not_open_yet,
    organisation_maximum,
    organisation_required,
    organisation_unknown,
    programme_withdrawn,
    province_not_eligible,
    reserved,
    role_not_eligible,
)
from services.registration.domain.reasons.teams import (
    deadline_passed,
    seat_required,
    seat_role,
    seat_taken,
    seat_unknown,
    team_incomplete,
)
from services.registration.domain.reasons.waiting import (
    capacity_raised,
    does_not_fit,
    frozen,
    others_given_precedence,
    promoted_by_staff,
    rules_changed,
    unit_free,
    withdrawn_on_request,
)
from services.registration.domain.reasons.words import KIND_NAMES, province_name

__all__ = [
    "KIND_NAMES",
    "already_enrolled",
    "capacity_below_confirmed",
    "capacity_raised",
    "closed",
    "deadline_passed",
    "does_not_fit",
    "frozen",
    "full",
    "kind_not_eligible",
    "larger_than_capacity",
    "named_twice",
    "no_room",
    "no_such_enrolment",
    "no_such_participant",
    "no_such_programme",
    "not_active",
    "not_open_yet",
    "not_waiting",
    "organisation_maximum",
    "organisation_required",
    "organisation_unknown",
    "others_given_precedence",
    "others_wait",
    "per_changed",
    "programme_withdrawn",
    "promoted_by_staff",
    "province_name",
    "province_not_eligible",
    "reserved",
    "role_not_eligible",
    "rules_changed",
    "seat_required",
    "seat_role",
    "seat_taken",
    "seat_unknown",
    "team_incomplete",
    "unit_free",
    "unknown_goal",
    "unknown_organiser",
    "unknown_theme",
    "withdrawn_on_request",
]
