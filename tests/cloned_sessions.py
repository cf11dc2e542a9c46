"""Many linked devices out of one, for benchmarks: pairing a thousand one by one would take an hour.

A clone has the keys of the device that it was made from, under another number. That is enough for a login,
and costs what a device of its own would cost; it would not do between two clones that write to each other.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import sqlite3
import zlib
from collections import OrderedDict
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from sandbox.whatsapp.account import Account, new_account
from sandbox.whatsapp.hub import Hub, Options
from sandbox.whatsapp.media_files import MediaFiles
from sandbox.whatsapp.store import Store
from tests.pool_processes import Pools

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


def clone_salons(pools: Pools, count: int, *, pool: str) -> None:
    """Make `count` salons that are linked and whose keys are in the vault only, as after the loss of every
    machine: one is linked by a code, the rest are its clones. No pool runs afterwards."""
    system = pools.system
    system.start(pool)
    pools.link(1)
    system.terminate(pool)
    system.terminate("sandbox-whatsapp")
    (original,) = pools.phones.values()
    accounts = asyncio.run(_clone_accounts(system.folder / "sandbox-whatsapp", original, count))
    system.start("sandbox-whatsapp")
    file = system.folder / "clones.json"
    file.write_text(json.dumps(accounts))
    made = system.shell(
        f"from tests.cloned_sessions import fill_database; fill_database({str(file)!r})"
    ).split()
    system.query("DELETE FROM whatsapp_storedcredentials WHERE session_id = %s RETURNING 1", *pools.phones)
    system.query("UPDATE whatsapp_session SET wanted = 'stopped' WHERE id = %s RETURNING 1", *pools.phones)
    pools.phones = dict(zip(made, (phone for phone, _lid in accounts), strict=True))


async def _clone_accounts(state: Path, original: str, count: int) -> list[tuple[str, str]]:
    """Phones and LIDs of the clones, written into the state of a WhatsApp server that does not run."""
    hub = Hub(Store(state), MediaFiles(state / "media"), Options())
    accounts = [clone_account(hub, hub.accounts[original], number) for number in range(count)]
    hub.store.close()
    return [(account.phone, account.lid) for account in accounts]


def fill_database(file: str) -> None:
    """Make the clones' rows, inside the product's process; prints their ids in the order of the file."""
    from django.utils import timezone

    from whatsapp.models import Session, StoredCredentials

    original = zlib.decompress(bytes(StoredCredentials.objects.get().store))
    for phone, lid in json.loads(Path(file).read_text()):
        account = dataclasses.replace(new_account(phone, phone), lid=lid)
        store, now = clone_store(original, account), timezone.now()
        session = Session.objects.create(
            wanted=Session.Wanted.LINKED,
            status=Session.Status.RECONNECTING,
            phone=phone,
            jid=account.jid(DEVICE),
            lid=f"{lid}@lid",
            paired_at=now - timedelta(days=1),
            connected_at=now,
        )
        StoredCredentials.objects.create(
            session=session,
            store=zlib.compress(store, 3),
            checksum=hashlib.sha256(store).hexdigest(),
            taken_at=now,
            taken_by="clones",
        )
        print(session.pk)
