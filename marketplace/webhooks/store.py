"""Keeping webhooks: each in the database once, however often and in how many processes at once it arrives."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import structlog
from django.db import DatabaseError, DataError, IntegrityError, transaction
from django.db.models import F

from marketplace.models import InboundWebhook

log = structlog.get_logger("webhooks")


class Outcome(StrEnum):
    """What became of an authentic body."""

    KEPT = "kept"
    REPEAT = "repeat"


@dataclass(frozen=True, slots=True)
class Received:
    """A body that is now in the database, perhaps from before."""

    outcome: Outcome
    webhook: InboundWebhook


def keep_all(rows: list[InboundWebhook]) -> list[Received | DatabaseError]:
    """Insert the rows by one commit, or count a repeat of the one that has the key; answers in their order.

    An error in the list is that row's own. Raises DatabaseError when none could be kept.
    """
    known = InboundWebhook.objects.in_bulk([row.dedupe_key for row in rows], field_name="dedupe_key")
    new = {row.dedupe_key: row for row in reversed(rows) if row.dedupe_key not in known}
    try:
        with transaction.atomic():
            InboundWebhook.objects.bulk_create(new.values())
            _count_repeats(row.dedupe_key for row in rows if new.get(row.dedupe_key) is not row)
    except (IntegrityError, DataError):
        # Another process has kept one of them meanwhile, or the database does not take one: the others are
        # not to suffer from it.
        return [_keep(row) for row in rows]
    received: list[Received | DatabaseError] = []
    for row in rows:
        is_new = new.get(row.dedupe_key) is row
        same = row if is_new else known.get(row.dedupe_key) or new[row.dedupe_key]
        received.append(_received(same, Outcome.KEPT if is_new else Outcome.REPEAT))
    return received


def _count_repeats(keys: Iterable[str]) -> None:
    for key, times in Counter(keys).items():
        InboundWebhook.objects.filter(dedupe_key=key).update(repeats=F("repeats") + times)


def _keep(row: InboundWebhook) -> Received | DatabaseError:
    row.pk = None  # of an insertion that was undone
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except DataError as error:
        return error
    except IntegrityError as error:
        same = InboundWebhook.objects.filter(dedupe_key=row.dedupe_key).first()
        if same is None:
            return error
        _count_repeats([same.dedupe_key])
        return _received(same, Outcome.REPEAT)
    return _received(row, Outcome.KEPT)


def _received(webhook: InboundWebhook, outcome: Outcome) -> Received:
    log.info(f"webhook {outcome}", salon_id=webhook.salon_id, name=webhook.name, webhook=webhook.pk)
    return Received(outcome, webhook)
