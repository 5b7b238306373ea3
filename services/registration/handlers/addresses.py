"""Whether our own mail server can send to an address (what an address is, ``contracts.addresses`` says)."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.addresses import needs_smtputf8
from contracts.problem import Fault, ProblemError, wrong_fields


def refuse_unsendable(addresses: Iterable[tuple[str, str]], *, smtputf8: bool) -> None:
    """
    See to it that mail can be sent to the ``addresses``, each after the field of the request in which it stands.

    Args:
        smtputf8: whether the mail server takes letters beyond ASCII before the @ (RFC 6531).

    Raises:
        ProblemError: it can't be sent to some of them; each is named by its field.
    """
    if smtputf8:
        return
    faults = [_fault(field, address) for field, address in addresses if needs_smtputf8(address)]
    if faults:
        raise ProblemError(wrong_fields(faults, len(faults)))


def _fault(field: str, address: str) -> Fault:
    character = next(each for each in address if not each.isascii())
    return Fault(
        field=field,
        rule="address",
        detail=f"Before the @ only letters from a to z without accents can stand here, not {character}: our mail server"
        " cannot send to such an address. Give another one.",
        detail_nl=f"Vóór de @ kunnen hier alleen letters van a tot z zonder accenten staan, geen {character}: onze"
        " mailserver kan niet naar zo’n adres sturen. Geef een ander adres.",
    )
