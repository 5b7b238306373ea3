"""The HTTP face: health alone. Mails hold people's data; staff see them over the broker, which knows who asks."""

from __future__ import annotations

from fastapi import FastAPI

from services.chassis import web
from services.chassis.guard import Guard
from services.chassis.health import Health
from services.chassis.metrics import Measure

VERSION = "0.1.0"


def application(health: Health, guard: Guard, measure: Measure) -> FastAPI:
    """The application that uvicorn serves."""
    return web.application(
        "Deelname notifications",
        VERSION,
        "Tells each person once. Ask it over the broker; here is its health.",
        health,
        guard,
        measure=measure,
    )
