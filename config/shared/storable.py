"""Texts that the database can store."""

import re

# PostgreSQL stores no NUL character and no half of a surrogate pair.
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
