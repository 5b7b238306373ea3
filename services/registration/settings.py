"""What registration needs to know from its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from services.chassis.settings import CommonSettings

MIGRATIONS = Path(__file__).parent / "migrations"


class Settings(CommonSettings):
    """Registration also stands in the partners' account, in which it takes in requests and gives outcomes."""

    nats_name: str = "registration"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8101
    keep_people_days: Annotated[
        int, Field(ge=1, le=3650, description="Days after a programme's end for which who took part is known.")
    ] = 400
    keep_others_days: Annotated[
        int, Field(ge=1, le=3650, description="Days for which who was refused, withdrew or only waited is known.")
    ] = 30
    confirm_above: Annotated[
        int, Field(ge=0, description="People whom one change of a programme may mail without being confirmed.")
    ] = 25
    partners: Annotated[
        tuple[str, ...], NoDecode, Field(description="The partners whose intake is read, parted by commas.")
    ] = ()
    partners_nats_url: Annotated[str | None, Field(description="The broker's partners' account; needed if any.")] = None
    partners_nats_user: str | None = None
    partners_nats_password: SecretStr | None = None
    partners_nats_nkey_seed_file: str | None = None
    partners_nats_name: str = "registration"

    @field_validator("partners")
    @classmethod
    def _are_no_sources_of_ours(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # Whoever is called so could touch what the web forms and the staff brought in.
        if taken := {"staff", "web"} & set(value):
            raise ValueError(f"no partner can be called {' or '.join(sorted(taken))}: requests of our own are")
        return value

    @model_validator(mode="after")
    def _partners_are_met_somewhere(self) -> Self:
        if self.partners and self.partners_nats_url is None:
            raise ValueError(
                "DEELNAME_PARTNERS names partners, so DEELNAME_PARTNERS_NATS_URL must say where they connect"
            )
        return self

    @field_validator("partners", mode="before")
    @classmethod
    def _parted_by_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(word.strip() for word in value.split(",") if word.strip())
        return value
