"""All reports together, in one form: what is compared before and after a rebuild."""

from __future__ import annotations

import hashlib
import json
from typing import get_args

from contracts.queries import Heading
from services.chassis.state import State
from services.reporting.domain.counting import count_all
from services.reporting.domain.participation import participation_of
from services.reporting.domain.programmes import programme_reported, programmes_listed
from services.reporting.domain.themes import theme_reported


def canonical(state: State) -> bytes:
    """Every report that can be asked for, as JSON with sorted keys, without white space, in UTF-8."""
    counted = count_all(state)
    reports = {
        "programmes": programmes_listed(counted.programmes).model_dump(mode="json"),
        "programme": [
            programme_reported(each, counted.organisations).model_dump(mode="json") for each in counted.programmes
        ],
        "participation": [participation_of(counted, by).model_dump(mode="json") for by in get_args(Heading)],
        "theme": [
            report.model_dump(mode="json")
            for id_ in counted.themes
            if (report := theme_reported(counted, id_)) is not None
        ],
    }
    return json.dumps(reports, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def digest(state: State) -> str:
    """SHA-256 of ``canonical``, in hexadecimal."""
    return hashlib.sha256(canonical(state)).hexdigest()
