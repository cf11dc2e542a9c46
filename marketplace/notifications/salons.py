"""Salons as the operator endpoint reads them: a few columns of all salons of a batch by one statement.

Model instances and the building of a query cost several times what PostgreSQL needs to answer it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection

from config.shared.bulk_insert import Guard
from marketplace.models import Company
from whatsapp.models import Session

COMPANIES, SESSIONS = Company._meta.db_table, Session._meta.db_table
SELECT = f"""
    SELECT salon.id, salon.salon_id, salon.status, salon.phone, salon.timezone_name, salon.session_id,
        session.jid, salon.api_key_digest
    FROM {COMPANIES} AS salon LEFT JOIN {SESSIONS} AS session ON session.id = salon.session_id
    WHERE salon.%s IN (%s)
"""  # noqa: S608  names of our own tables
# In one order: two batches with the same salons cannot block each other then.
LOCK = " ORDER BY salon.id FOR NO KEY UPDATE OF salon"
# As one text, so that the salons are found by their numbers and nothing is guessed of the rest.
STATE = "concat_ws('|', salon.id, salon.status, salon.session_id, session.jid)"
UNCHANGED = f"""
    SELECT count(*) = %%s FROM (
        SELECT salon.id FROM {COMPANIES} AS salon JOIN {SESSIONS} AS session ON session.id = salon.session_id
        WHERE salon.id IN (%s) AND {STATE} IN (%s) {LOCK}) AS locked
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Salon:
    """A salon and its session at one moment; `id` is ours, `salon_id` YClients' number.

    `session_id` is None without a session, `jid` empty without a linked device.
    """

    id: int
    salon_id: int
    status: str
    phone: str
    timezone_name: str
    session_id: UUID | None
    jid: str


def by_key_digest(digests: Collection[str]) -> dict[str, Salon]:
    """Return by its digest whose key each is, without those that are nobody's."""
    return dict(_read("api_key_digest", digests))


def by_number(salon_ids: Collection[int], *, locked: bool = False) -> dict[int, Salon]:
    """Return the salons with these numbers of YClients; `locked`: until the end of the transaction."""
    return {salon.salon_id: salon for _digest, salon in _read("salon_id", salon_ids, locked=locked)}


def unchanged(seen: Iterable[Salon]) -> Guard:
    """The condition that these salons with sessions are as they were seen; it locks them.

    For PostgreSQL. A salon that somebody changes at this moment is waited for and looked at again.
    """
    states = {salon.id: f"{salon.id}|{salon.status}|{salon.session_id}|{salon.jid}" for salon in seen}
    return Guard(_unchanged(len(states)), (len(states), *states, *states.values()))


def _read(column: str, values: Collection[Any], *, locked: bool = False) -> list[tuple[str, Salon]]:
    if not values:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_statement(column, len(values), locked, connection.vendor), [*values])
        return [_salon(row) for row in cursor.fetchall()]


@lru_cache(maxsize=256)
def _statement(column: str, values: int, locked: bool, vendor: str) -> str:
    statement = SELECT % (column, ", ".join(["%s"] * values))
    # SQLite has no row locks and needs none: its transactions write one after the other.
    return statement + LOCK if locked and vendor == "postgresql" else statement


@lru_cache(maxsize=256)
def _unchanged(salons: int) -> str:
    places = ", ".join(["%s"] * salons)
    return UNCHANGED % (places, places)


def _salon(row: tuple[Any, ...]) -> tuple[str, Salon]:
    id_, salon_id, status, phone, zone, session_id, jid, digest = row
    if session_id is not None and not isinstance(session_id, UUID):
        session_id = UUID(session_id)
    return digest or "", Salon(id_, salon_id, status, phone, zone, session_id, jid or "")
