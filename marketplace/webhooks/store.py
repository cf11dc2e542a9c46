"""Storing webhooks: each in the database once, however often and in how many processes at once it arrives."""

import json
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import DatabaseError, DataError, IntegrityError, connection
from django.utils import timezone

from marketplace.models import Company, InboundWebhook, MarketplaceEvent
from marketplace.webhooks import processing
from marketplace.webhooks.verification import REPEAT_WINDOW, VerifiedWebhook

Kind = InboundWebhook.Kind
State = InboundWebhook.State
Type = MarketplaceEvent.Type

# A process that dies between storing and applying leaves the row to the worker after this time.
TAKEOVER = timedelta(seconds=30)
# What changes a salon's status, and the changes that each lifecycle event itself makes.
STATUS_CHANGES = (
    Type.REGISTRATION_STARTED,
    Type.INTEGRATION_ACTIVATED,
    Type.FROZEN,
    Type.UNFROZEN,
    Type.UNINSTALL_DENIED,
    Type.UNINSTALLED,
)
OWN_EFFECTS: dict[str, tuple[str, ...]] = {
    "uninstall": (Type.FROZEN, Type.UNINSTALLED),
    "freeze": (Type.FROZEN,),
    "payment": (Type.UNFROZEN,),
}

TABLE, SALONS = InboundWebhook._meta.db_table, Company._meta.db_table
EVENTS = MarketplaceEvent._meta.db_table
# The rows travel as one JSON parameter: ten for each row cost more than the insertion itself.
GIVEN = {
    "postgresql": """jsonb_to_recordset(%s) AS given(
        kind text, dedupe_key text, salon_id bigint, name text, body jsonb, state text, repeats integer,
        next_attempt_at timestamptz, received_at timestamptz)""",
    "sqlite": """(SELECT value->>'kind' AS kind, value->>'dedupe_key' AS dedupe_key,
        value->>'salon_id' AS salon_id, value->>'name' AS name, value->'body' AS body,
        value->>'state' AS state, value->>'repeats' AS repeats,
        value->>'next_attempt_at' AS next_attempt_at, value->>'received_at' AS received_at
        FROM json_each(%s)) AS given""",
}
# A new row's `repeats` is one less than the times it arrived in this statement; one that was there has more.
INSERT = f"""
    INSERT INTO {TABLE} (kind, dedupe_key, salon_id, company_id, name, body, state, repeats, attempts,
        next_attempt_at, last_error, received_at)
    SELECT given.kind, given.dedupe_key, given.salon_id, salon.id, given.name, given.body, given.state,
        given.repeats, 0, given.next_attempt_at, '', given.received_at
    FROM %s LEFT JOIN {SALONS} AS salon ON salon.salon_id = given.salon_id
    WHERE true
    ON CONFLICT (dedupe_key) DO UPDATE SET repeats = {TABLE}.repeats + excluded.repeats + 1
    RETURNING id, dedupe_key, state, repeats
"""  # noqa: S608  names of our own tables
LAST_CHANGES = f"""
    SELECT salon_id, event_type, max(id) FROM {EVENTS}
    WHERE salon_id IN (%s) AND event_type IN (%s) GROUP BY salon_id, event_type
"""  # noqa: S608


class Outcome(StrEnum):
    """What became of an authentic webhook."""

    STORED = "stored"
    REPEAT = "repeat"


@dataclass(frozen=True, slots=True)
class StoredWebhook:
    """A webhook that is in the database, perhaps from before; `is_due`: its effect has not been tried yet."""

    outcome: Outcome
    id: int
    kind: Kind
    is_due: bool


def store_all(webhooks: list[VerifiedWebhook]) -> list[StoredWebhook | DatabaseError]:
    """Insert webhooks by one statement and one commit, or count repeats; returns results in their order.

    An error in the list is that webhook's own. Raises DatabaseError when none could be stored.
    """
    if not webhooks:
        return []
    keys = _dedupe_keys(webhooks)
    try:
        found = _insert(dict(zip(reversed(keys), reversed(webhooks), strict=True)), keys)
    except (DataError, IntegrityError) as error:
        if len(webhooks) == 1:
            return [error]
        # The database does not take one of them: the others are not to suffer from it.
        return [result for webhook in webhooks for result in store_all([webhook])]
    results: list[StoredWebhook | DatabaseError] = []
    for key, webhook in zip(keys, webhooks, strict=True):
        id_, state, is_new = found[key]
        found[key] = (id_, state, False)
        outcome = Outcome.STORED if is_new else Outcome.REPEAT
        results.append(StoredWebhook(outcome, id_, webhook.kind, state == State.RECEIVED))
    return results


def _insert(webhooks: dict[str, VerifiedWebhook], keys: list[str]) -> dict[str, tuple[int, str, bool]]:
    """Return by its key the row's id, its state, and whether it is new."""
    times = Counter(keys)
    now = timezone.now()
    written, taken_over = _written(now), _written(now + TAKEOVER)
    # In one order, or two processes with the same repeats could deadlock.
    rows = [
        {**_row(webhooks[key], written, taken_over), "dedupe_key": key, "repeats": times[key] - 1}
        for key in sorted(webhooks)
    ]
    with connection.cursor() as cursor:
        cursor.execute(INSERT % GIVEN[connection.vendor], [json.dumps(rows)])
        return {
            key: (id_, state, repeats == times[key] - 1) for id_, key, state, repeats in cursor.fetchall()
        }


def _row(webhook: VerifiedWebhook, now: str, later: str) -> dict[str, Any]:
    due_at = None
    if processing.has_effect(kind=webhook.kind, name=webhook.name):
        due_at = now if webhook.kind == Kind.ENTITY else later
    return {
        "kind": webhook.kind,
        "salon_id": webhook.salon_id,
        "name": webhook.name,
        "body": webhook.body,
        "state": State.RECEIVED if due_at else State.IGNORED,
        "next_attempt_at": due_at,
        "received_at": now,
    }


def _written(moment: datetime) -> str:
    """A time as the database writes it."""
    return str(connection.ops.adapt_datetimefield_value(moment))


def _dedupe_keys(webhooks: list[VerifiedWebhook]) -> list[str]:
    """Return each webhook's key.

    A lifecycle body has no time and no number, so it is a repeat as long as nothing else has happened to the
    salon: after a reinstall the same "uninstall" is new.
    """
    changes = _last_changes({webhook.salon_id for webhook in webhooks if webhook.kind == Kind.LIFECYCLE})
    keys = []
    for webhook in webhooks:
        if webhook.kind == Kind.ENTITY:
            keys.append(f"entity:{webhook.salon_id}:{webhook.digest}")
            continue
        own = OWN_EFFECTS.get(webhook.name, ())
        others = [last for kind, last in changes.get(webhook.salon_id, {}).items() if kind not in own]
        since = f"{max(others, default=0)}"
        if webhook.name == "payment":  # the next month's has the same words
            since += f".{int(time.time()) // REPEAT_WINDOW}"
        keys.append(f"lifecycle:{webhook.salon_id}:{webhook.name}:{since}:{webhook.digest}")
    return keys


def _last_changes(salon_ids: set[int]) -> dict[int, dict[str, int]]:
    """Return for each salon the id of its last event of each type that changes its status."""
    if not salon_ids:
        return {}
    places = [", ".join(["%s"] * len(values)) for values in (salon_ids, STATUS_CHANGES)]
    found: dict[int, dict[str, int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(LAST_CHANGES % tuple(places), [*salon_ids, *STATUS_CHANGES])
        for salon_id, event_type, last in cursor.fetchall():
            found.setdefault(salon_id, {})[event_type] = last
    return found
