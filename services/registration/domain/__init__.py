"""
The rules of enrolment, as functions of frozen data: no clock, no I/O, no randomness.

``decide(state, command)`` says which facts come true; ``evolve(state, fact)`` says how things stand after one. Read
``state`` first, then ``commands``, ``rules`` (who may come), ``waiting`` (who comes next), ``strangers`` and
``confirming`` (whose requests wait, and what becomes of them), ``publishing`` (what a new definition changes) and
``decisions``, which ties them together.
"""

from services.registration.domain.commands import Command, Decision, Rejected
from services.registration.domain.decisions import decide
from services.registration.domain.evolution import evolve
from services.registration.domain.registry import Registry, decide_registry, evolve_registry
from services.registration.domain.state import Enrolment, ProgrammeState

__all__ = [
    "Command",
    "Decision",
    "Enrolment",
    "ProgrammeState",
    "Registry",
    "Rejected",
    "decide",
    "decide_registry",
    "evolve",
    "evolve_registry",
]
