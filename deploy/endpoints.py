"""What ``endpoints.json`` says of an identity at the broker: of a partner also where it sends and is answered."""

from __future__ import annotations

from typing import Any

from contracts import subjects
from contracts.intake import INTAKE
from deploy.identities import Access


def entry(access: Access, name: str, url: str, **proof: str) -> dict[str, Any]:
    """
    The identity's entry.

    Args:
        access: the table in which it is.
        name: the identity.
        url: where it connects; several servers are parted by commas.
        proof: files with which it proves who it is and knows the broker, where no password stands in the address.
    """
    found: dict[str, Any] = {"url": url, "inbox_prefix": access.identity(name).inbox_prefix, **proof}
    return found | taking_part(name) if name in access.partners else found


def taking_part(partner: str) -> dict[str, Any]:
    """The subjects that a partner sends on, and the consumer that has its outcomes."""
    kinds = dict.fromkeys(type_.rpartition(".")[0] for type_ in INTAKE)
    return {
        "intake": {
            "stream": subjects.intake_stream(partner),
            "subjects": [subjects.intake(partner, *kind.split(".")) for kind in kinds],
        },
        "outcomes": {
            "stream": subjects.OUTCOMES_STREAM,
            "consumer": partner,
            "subjects": [subjects.outcome(partner, "accepted"), subjects.outcome(partner, "refused")],
        },
    }
