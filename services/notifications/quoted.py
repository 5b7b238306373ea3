"""Quoted-printable, by hand: the library's takes an octet at a time (RFC 2045 §6.7)."""

import codecs
from typing import NamedTuple

LONGEST_BODY_LINE = 76
"""Quoted-printable and base64, without the line break (RFC 2045 §6.7 rule 5, §6.8)."""

_CONTROLS = bytes(octet for octet in (*range(32), 127) if octet not in b"\t\n")
_BLANKS = (b" ", b"\t")
_QP_OCTETS = tuple(f"={octet:02X}" for octet in range(256))


class Piece(NamedTuple):
    """Text, and the same in quoted-printable. Pieces that end with a line break may be put one after the other."""

    text: str
    encoded: bytes

    @classmethod
    def of(cls, text: str) -> "Piece":
        """The text with its encoding."""
        return cls(text, quoted_printable(text))


def quoted_printable(text: str) -> bytes:
    """`text` in quoted-printable, its line breaks as CRLF, no line over 76 octets (RFC 2045 §6.7).

    Control characters other than tab and line break are left out: they have no meaning in a mail. What is cut behind a
    line break may be encoded piece by piece: the pieces make up what the whole gives.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("=", "=3D")
    octets = text.encode("ascii", "quoted-printable").translate(None, _CONTROLS)
    rows = octets.split(b"\n")
    return b"\r\n".join([_rows(row) if len(row) > LONGEST_BODY_LINE or row[-1:] in _BLANKS else row for row in rows])


def _quoted_octets(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    octets = error.object[error.start : error.end].encode("utf-8", "replace")
    return "".join(map(_QP_OCTETS.__getitem__, octets)), error.end


codecs.register_error("quoted-printable", _quoted_octets)


def _rows(row: bytes) -> bytes:
    if row[-1:] in _BLANKS:
        row = row[:-1] + _QP_OCTETS[row[-1]].encode("ascii")
    if len(row) <= LONGEST_BODY_LINE:
        return row
    pieces = []
    begin, last = 0, len(row) - LONGEST_BODY_LINE
    while begin < last:
        end = begin + LONGEST_BODY_LINE - 1
        # An escape of three octets stays in one piece.
        if row[end - 1] == 0x3D:
            end -= 1
        elif row[end - 2] == 0x3D:
            end -= 2
        pieces.append(row[begin:end])
        begin = end
    pieces.append(row[begin:])
    return b"=\r\n".join(pieces)
