"""Keeps the server's state in one SQLite file, so that linked sessions survive its restart."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .account import Account, Device, InboxMessage, Waiting
from .curve import KeyPair
from .ratchet import Chain, Session

PUT = "INSERT INTO record VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value"
SCHEMA = "CREATE TABLE IF NOT EXISTS record (kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key))"


def _default(value: object) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    raise TypeError(f"cannot keep a {type(value).__name__}")


def _hook(value: dict[str, Any]) -> Any:
    return bytes.fromhex(value["hex"]) if value.keys() == {"hex"} else value


class Store:
    """Records written through at once and committed at the event loop's next turn.

    Without a folder nothing is kept. ``synchronous=OFF``: a test server need not survive a power cut.
    """

    def __init__(self, folder: Path | None) -> None:
        self.database: sqlite3.Connection | None = None
        self.commit_due = False
        if folder is not None:
            path = folder / "whatsapp.sqlite3"
            path.touch(mode=0o600)
            self.database = sqlite3.connect(path)
            self.database.execute("PRAGMA journal_mode=WAL")
            self.database.execute("PRAGMA synchronous=OFF")
            self.database.execute(SCHEMA)

    def close(self) -> None:
        if self.database is not None:
            self.database.commit()
            self.database.close()
            self.database = None

    def put(self, kind: str, key: str, value: Any) -> None:
        if self.database is None:
            return
        text = json.dumps(value, default=_default, ensure_ascii=False)
        self.database.execute(PUT, (kind, key, text))
        self._commit_soon()

    def delete(self, kind: str, key: str) -> None:
        if self.database is not None:
            self.database.execute("DELETE FROM record WHERE kind = ? AND key = ?", (kind, key))
            self._commit_soon()

    def get(self, kind: str, key: str) -> Any:
        return dict(self._rows(kind)).get(key)

    def _rows(self, kind: str) -> list[tuple[str, Any]]:
        if self.database is None:
            return []
        rows = self.database.execute("SELECT key, value FROM record WHERE kind = ? ORDER BY rowid", (kind,))
        return [(key, json.loads(value, object_hook=_hook)) for key, value in rows]

    def _commit_soon(self) -> None:
        if not self.commit_due:
            self.commit_due = True
            asyncio.get_running_loop().call_soon(self._commit)

    def _commit(self) -> None:
        self.commit_due = False
        if self.database is not None:
            self.database.commit()

    def save_account(self, account: Account) -> None:
        skipped = ("devices", "sessions", "inbox", "waiting", "prekeys")
        value = {name: getattr(account, name) for name in Account.__slots__ if name not in skipped}
        for name in ("identity", "signed_prekey"):
            value[name] = asdict(value[name])
        value["prekeys"] = {number: asdict(pair) for number, pair in account.prekeys.items()}
        self.put("account", account.phone, value)

    def save_device(self, account: Account, device: Device) -> None:
        value = {name: getattr(device, name) for name in Device.__slots__ if name not in ("queue", "prekeys")}
        self.put("device", f"{account.phone}:{device.number}", value)

    def save_prekeys(self, account: Account, device: Device) -> None:
        """Apart from the device, whose record is written at every login: there are hundreds."""
        self.put("prekeys", f"{account.phone}:{device.number}", device.prekeys)

    def save_queue(self, account: Account, device: Device) -> None:
        self.put("queue", f"{account.phone}:{device.number}", device.queue)

    def delete_device(self, account: Account, number: int) -> None:
        for kind in ("device", "prekeys", "queue"):
            self.delete(kind, f"{account.phone}:{number}")

    def save_sessions(self, account: Account, address: str) -> None:
        states = [asdict(state) for state in account.sessions[address]]
        self.put("session", f"{account.phone} {address}", states)

    def save_message(self, account: Account, message: InboxMessage) -> None:
        self.put("message", f"{account.phone} {message.id}", asdict(message))

    def save_waiting(self, account: Account) -> None:
        self.put("waiting", account.phone, [asdict(item) for item in account.waiting])

    def load_accounts(self) -> list[Account]:
        accounts = {phone: _account(value) for phone, value in self._rows("account")}
        for key, value in self._rows("device"):
            accounts[key.split(":")[0]].devices[value["number"]] = Device(**value)
        for key, value in self._rows("prekeys"):
            phone, number = key.split(":")
            prekeys = OrderedDict((int(prekey_id), prekey) for prekey_id, prekey in value.items())
            accounts[phone].devices[int(number)].prekeys = prekeys
        for key, value in self._rows("queue"):
            phone, number = key.split(":")
            accounts[phone].devices[int(number)].queue = OrderedDict(value)
        for key, value in self._rows("session"):
            phone, address = key.split(" ")
            accounts[phone].sessions[address] = [_session(state) for state in value]
        for key, value in self._rows("message"):
            accounts[key.split(" ")[0]].inbox.append(InboxMessage(**value))
        for phone, value in self._rows("waiting"):
            accounts[phone].waiting = [Waiting(**item) for item in value]
        return list(accounts.values())


def _account(value: dict[str, Any]) -> Account:
    value["identity"] = KeyPair(**value["identity"])
    value["signed_prekey"] = KeyPair(**value["signed_prekey"])
    value["prekeys"] = {int(number): KeyPair(**pair) for number, pair in value["prekeys"].items()}
    return Account(**value)


def _session(value: dict[str, Any]) -> Session:
    value["ratchet"] = KeyPair(**value["ratchet"])
    value["unanswered"] = tuple(value["unanswered"]) if value["unanswered"] else None
    for chain in value["chains"]:
        chain["skipped"] = {int(number): seed for number, seed in chain["skipped"].items()}
    value["chains"] = [Chain(**chain) for chain in value["chains"]]
    return Session(**value)
