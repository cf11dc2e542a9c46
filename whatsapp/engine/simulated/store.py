"""Key stores of the simulated engine: real SQLite files with the table that the real library's have, so
that the vault has something to save and `store_problem` judges both alike."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Device:
    """A linked device as its key store knows it."""

    phone: str
    number: int
    push_name: str

    @property
    def jid(self) -> str:
        """The device's own JID."""
        return f"{self.phone}:{self.number}@s.whatsapp.net"

    @property
    def lid(self) -> str:
        """The account's LID."""
        return lid_of(self.phone)


def lid_of(phone: str) -> str:
    """The LID that the simulation gives to a phone number: its digits backwards."""
    return f"{phone[::-1]}@lid"


def read_device(path: Path) -> Device | None:
    """The device in a key store; None without one."""
    if not path.exists():
        return None
    with closing(_open(path)) as database:
        row = database.execute("SELECT jid, push_name FROM whatsmeow_device").fetchone()
    if row is None:
        return None
    user = row[0].partition("@")[0]
    phone, _, number = user.partition(":")
    return Device(phone, int(number), row[1])


def write_device(path: Path, device: Device | None) -> None:
    """Put the device into the key store, or leave it without one; the file is made when it is missing."""
    with closing(_open(path)) as database, database:
        database.execute("DELETE FROM whatsmeow_device")
        if device is not None:
            row = (device.jid, device.push_name)
            database.execute("INSERT INTO whatsmeow_device (jid, push_name) VALUES (?, ?)", row)


def count_login(path: Path) -> None:
    """Change the key store a little, as the real library does at every login."""
    with closing(_open(path)) as database, database:
        database.execute("UPDATE whatsmeow_device SET logins = logins + 1")


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    database = sqlite3.connect(path)
    database.execute(
        "CREATE TABLE IF NOT EXISTS whatsmeow_device"
        " (jid TEXT PRIMARY KEY, push_name TEXT, logins INTEGER NOT NULL DEFAULT 0)"
    )
    return database
