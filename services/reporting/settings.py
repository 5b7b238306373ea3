"""What can be set."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from services.chassis.settings import CommonSettings


class Settings(CommonSettings):
    """Read from the environment with the prefix ``DEELNAME_``; frozen."""

    nats_name: str = "reporting"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8083
    tokens_stale_after: Annotated[
        timedelta,
        Field(
            gt=timedelta(),
            description="How long tokens are let in while it is unknown which were revoked since (ISO 8601: PT30S).",
        ),
    ] = timedelta(seconds=30)
