"""How many notifications of one salon may wait: SALON_QUEUE_LIMIT, 0 for any number."""

from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import UUID

from django.conf import settings

from marketplace.notifications.planning import Plan, Planned
from marketplace.notifications.salons import Salon
from whatsapp.messages import message_queue


class QuotaExceeded(Exception):
    """SALON_QUEUE_LIMIT messages of one salon wait already; nothing of the request was stored."""


def fits_easily(planned: Sequence[Planned]) -> bool:
    """Each salon's queue is less than half full with these: the rest is for those who store at this moment
    and are not waited for."""
    limit = settings.SALON_QUEUE_LIMIT
    if not limit or not planned:
        return True
    added = Counter(one.sending.id for one in planned)
    queued = message_queue.queued_by_session(added)
    return all(queued.get(session, 0) + number <= limit // 2 for session, number in added.items())


def within(plans: list[Plan], locked: Mapping[int, Salon]) -> list[Plan | QuotaExceeded]:
    """Return the plans, without those whose messages a salon's queue has no room for."""
    limit = settings.SALON_QUEUE_LIMIT
    if not limit:
        return [*plans]
    sessions = {salon.session_id for salon in locked.values() if salon.session_id is not None}
    queued = message_queue.queued_by_session(sessions)
    kept: list[Plan | QuotaExceeded] = []
    for plan in plans:
        names = {(one.sending.id, one.message.external_id) for one in plan if isinstance(one, Planned)}
        added: Counter[UUID] = Counter(session for session, _name in names)
        if any(queued.get(session, 0) + number > limit for session, number in added.items()):
            kept.append(QuotaExceeded())
            continue
        for session, number in added.items():
            queued[session] = queued.get(session, 0) + number
        kept.append(plan)
    return kept
