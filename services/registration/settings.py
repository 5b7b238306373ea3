"""What registration needs to know from its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from services.chassis.settings import LinkSettings, Login


class Settings(LinkSettings):
    """Registration also stands in the partners' account, in which it takes in requests and gives outcomes."""

    nats_name: str = "registration"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8101
    keep_people_days: Annotated[
        int, Field(ge=1, le=3650, description="Days after a programme's end for which its people are known.")
    ] = 400
    keep_others_days: Annotated[
        int, Field(ge=1, le=3650, description="Days for which who was refused or withdrew is known.")
    ] = 30
    public_mails_a_source_and_hour: Annotated[
        int,
        Field(
            ge=0,
            description="People who never answered whom requests of one source on the network may have mailed within an"
            " hour. 0: as many as they like.",
        ),
    ] = 100
    confirm_above: Annotated[
        int, Field(ge=0, description="People whom one change of a programme may mail without being confirmed.")
    ] = 25
    smtputf8: Annotated[
        bool,
        Field(description="Whether the mail server takes letters beyond ASCII before the @ of an address (RFC 6531)."),
    ] = False
    partners_nats_url: Annotated[
        str | None, Field(description="The broker's partners' account. Without it there are no partners.")
    ] = None
    partners_nats_user: str | None = None
    partners_nats_password: SecretStr | None = None
    partners_nats_nkey_seed_file: Path | None = None
    partners_nats_ca_file: Path | None = None
    partners_nats_name: str = "registration"

    @property
    def partners_login(self) -> Login | None:
        """How to connect to the partners' account."""
        if self.partners_nats_url is None:
            return None
        return Login(
            url=self.partners_nats_url,
            name=self.partners_nats_name,
            user=self.partners_nats_user,
            password=self.partners_nats_password.get_secret_value() if self.partners_nats_password else None,
            nkey_seed_file=self.partners_nats_nkey_seed_file,
            ca_file=self.partners_nats_ca_file,
        )
