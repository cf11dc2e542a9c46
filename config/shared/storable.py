"""Texts that the database can store."""

import re

# PostgreSQL stores no NUL character and no half of a surrogate pair.
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text without what the database cannot keep; half a surrogate pair, from bad JSON, becomes `?`."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
