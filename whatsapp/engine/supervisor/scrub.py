"""What a host prints, made fit for a log. The library prints QR texts, pairing codes, keys and numbers.

Apart from `config.shared.masking`, because the engine imports nothing of the product, and stricter: in these
lines any long run of letters and digits is taken for a key.
"""

from __future__ import annotations

import re

_SECRETS = (
    (re.compile(r"https://wa\.me/\S+"), "[qr]"),
    (re.compile(r"(?<=://)[^\s/@]+@"), "[login]@"),  # of a proxy
    # Unicode block characters are a QR code drawn in the terminal.
    (re.compile(r"[\u2580-\u259f]{2,}"), "[qr]"),
    (re.compile(r"\b[1-9A-HJ-NP-TV-Z]{4}-[1-9A-HJ-NP-TV-Z]{4}\b"), "[code]"),
    (re.compile(r"\b2@[\w+/=,-]{10,}"), "[qr]"),
    (re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}"), "[key]"),
    (re.compile(r"\b(?:0x)?[0-9a-fA-F]{24,}\b"), "[key]"),
    (re.compile(r"\d{7,}"), "[number]"),
)
MAX_LINE = 500
MOST_READ = 16 * 1024  # characters; only the first 500 of the result are shown


def scrub(line: str) -> str:
    """The line without QR texts, pairing codes, keys and long numbers, at most 500 characters."""
    line = line[:MOST_READ]
    for pattern, replacement in _SECRETS:
        line = pattern.sub(replacement, line)
    return line[:MAX_LINE]
