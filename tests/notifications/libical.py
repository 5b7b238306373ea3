"""Asks libical, which Evolution and KDE read calendars with; run as a process of its own, since it is C and may crash.

Reads JSON `{"check": {name: text}, "classify": {name: [stored, new, user]}}` from standard input and writes
`{"check": {name: [problem]}, "classify": {name: class}}`. Ends with 3 if the library is not installed.
"""

import ctypes
import json
import sys
from typing import Any


def _library(name: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(name)
    except OSError:
        sys.exit(3)


def main() -> None:
    ical, storage = _library("libical.so.3"), _library("libicalss.so.3")
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    ical.icalparser_parse_string.restype = pointer
    ical.icalparser_parse_string.argtypes = [text]
    ical.icalrestriction_check.argtypes = [pointer]
    ical.icalcomponent_as_ical_string_r.restype = ctypes.c_void_p
    ical.icalcomponent_as_ical_string_r.argtypes = [pointer]
    ical.icalerror_set_errors_are_fatal.argtypes = [ctypes.c_int]
    ical.icalproperty_enum_to_string.restype = text
    storage.icalclassify.restype = ctypes.c_int
    storage.icalclassify.argtypes = [pointer, pointer, text]
    ical.icalerror_set_errors_are_fatal(0)

    def parsed(source: str) -> int:
        component = ical.icalparser_parse_string(source.encode())
        if not component:
            raise ValueError("libical cannot read it at all")
        return int(component)

    def problems(source: str) -> list[str]:
        try:
            component = parsed(source)
        except ValueError as error:
            return [str(error)]
        valid = ical.icalrestriction_check(component)
        written = ctypes.string_at(ical.icalcomponent_as_ical_string_r(component)).decode().replace("\r\n ", "")
        found = [line for line in written.splitlines() if line.startswith("X-LIC-ERROR")]
        return found if found or valid else ["the restriction check failed without saying why"]

    def classified(stored: str, new: str, user: str) -> str:
        number = storage.icalclassify(parsed(new), parsed(stored), user.encode())
        return str(ical.icalproperty_enum_to_string(number).decode())

    asked: dict[str, Any] = json.load(sys.stdin)
    json.dump(
        {
            "check": {name: problems(source) for name, source in asked["check"].items()},
            "classify": {name: classified(*arguments) for name, arguments in asked["classify"].items()},
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
