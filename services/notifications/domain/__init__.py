"""Who must be told what: pure functions over frozen data; no clock, no input or output, no randomness."""

from services.notifications.domain.answering import Given, Intention, given, overtakes, to_tell
from services.notifications.domain.entities import (
    Agenda,
    Course,
    Enrolment,
    Institution,
    Invitation,
    all_over,
    attended,
    course_of,
    enrolment_of,
    invitation_of,
    programme_of,
)
from services.notifications.domain.mails import Appointment, Detail, Planned, Taken
from services.notifications.domain.planning import Step, evolve, plan, step
from services.notifications.domain.saying import NOTHING, History, Pointless, Said, Unread, foretold, settle, with_told
from services.notifications.domain.sending import obstacle

__all__ = [
    "NOTHING",
    "Agenda",
    "Appointment",
    "Course",
    "Detail",
    "Enrolment",
    "Given",
    "History",
    "Institution",
    "Intention",
    "Invitation",
    "Planned",
    "Pointless",
    "Said",
    "Step",
    "Taken",
    "Unread",
    "all_over",
    "attended",
    "course_of",
    "enrolment_of",
    "evolve",
    "foretold",
    "given",
    "invitation_of",
    "obstacle",
    "overtakes",
    "plan",
    "programme_of",
    "settle",
    "step",
    "to_tell",
    "with_told",
]
