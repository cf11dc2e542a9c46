"""What a key store file holds, seen without the library.

A session that is expected to be linked must not be started from an empty store: the library would begin to
show QR codes, and could not be stopped any more. Never look into a store from inside a host: two copies of
SQLite in one process break each other's file locks (sqlite.org, "How To Corrupt An SQLite Database File",
2.2.1).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def store_problem(path: Path) -> str | None:
    """Why a session cannot be resumed from this key store; None when it holds a linked device. Blocks."""
    if not path.exists():
        return "there is no key store"
    try:
        # Not read-only: a journal left by a killed process has to be rolled back first.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=5)) as database:
            linked = _has_row(database, "sqlite_master WHERE name = 'whatsmeow_device'") and _has_row(
                database, "whatsmeow_device"
            )
    except sqlite3.Error as error:
        return f"the key store cannot be read: {error}"
    return None if linked else "the key store holds no linked device"


def _has_row(database: sqlite3.Connection, source: str) -> bool:
    query = f"SELECT 1 FROM {source} LIMIT 1"  # noqa: S608  # the sources are written above
    return database.execute(query).fetchone() is not None
