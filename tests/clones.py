"""Many linked devices out of one, for benchmarks: pairing a thousand one by one would take an hour.

A clone has the keys of the device that it was made from, under another number. That is enough for a login,
and costs what a device of its own would cost; it would not do between two clones that write to each other.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections import OrderedDict
from contextlib import closing
from pathlib import Path

from sandbox.whatsapp.account import Account
from sandbox.whatsapp.hub import Hub

FIRST_PHONE = 79100000000
DEVICE = 1


def phone_of(number: int) -> str:
    """The phone of the clone with this number."""
    return str(FIRST_PHONE + number)


def clone_account(hub: Hub, original: Account, number: int) -> Account:
    """A phone that has the original's first linked device as its own, known to the local WhatsApp server."""
    account = hub.account(phone_of(number))
    device = original.devices[DEVICE]
    prekeys = OrderedDict(device.prekeys)
    copied = dataclasses.replace(device, number=DEVICE, prekeys=prekeys, queue=OrderedDict())
    hub.add_device(account, copied)
    hub.store.save_prekeys(account, copied)
    return account


def clone_store(store: bytes, account: Account) -> bytes:
    """The key store of a clone, from the original's."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(store)
        # A device's other rows refer to its JID and follow it.
        database.execute("PRAGMA foreign_keys = ON")
        names = account.jid(DEVICE), account.lid_jid(DEVICE)
        database.execute("UPDATE whatsmeow_device SET jid = ?, lid = ?", names)
        database.commit()
        return database.serialize()


def read_store(path: Path) -> bytes:
    """A key store's bytes, of a session that does not run."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(":memory:")) as target:
        source.backup(target)
        return target.serialize()
