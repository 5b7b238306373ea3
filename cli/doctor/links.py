"""Personal links: whether registration believes those that notifications makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.doctor.findings import Report


def examine(report: Report, answers: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare what the services say of their keys; where one says nothing (it is off, or older), nothing is known."""
    try:
        making, believing = (answers[service]["links"] for service in ("notifications", "registration"))
        newest, mark, believed = making["newest"], making["fingerprints"][making["newest"]], believing["fingerprints"]
        same = (believed.get(newest), believing["newest"]) == (mark, newest)
        known = believed.get(newest) == mark
    except (KeyError, TypeError, AttributeError):
        return
    report.checked.append("keys of personal links")
    if not known:
        report.add(
            "personal links",
            "links-refused",
            f"registration refuses every link in a mail: notifications makes them with the key {newest} ({mark}), which"
            " registration does not have.",
            "Give both the same keys (the files that DEELNAME_LINK_KEYS names), and start registration again, then"
            " notifications.",
            "personal-links",
        )
    elif not same:
        report.add(
            "personal links",
            "link-keys-half-rotated",
            f"registration has a newer key than {newest}, with which notifications makes links.",
            "Start notifications again with the keys that registration has.",
            "personal-links",
            wrong=False,
        )
