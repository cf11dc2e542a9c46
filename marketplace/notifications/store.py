"""Storing the notifications of several requests by one commit.

A message's `ext_id` is its row's number. A repeat is recognised for as long as the salon keeps its session,
which an uninstall ends.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from marketplace.inbound import opt_outs
from marketplace.models import Company
from marketplace.notifications.format import Accepted, Notification, Refusal
from marketplace.notifications.planning import Planned, Planner
from marketplace.notifications.senders import Sender
from whatsapp.messages import message_queue
from whatsapp.models import Message

Result = Accepted | Refusal
Plan = list[Planned | Refusal]
FIELDS = (
    *("id", "salon_id", "status", "phone", "timezone_name"),
    *("session__jid", "session__paired_at"),
)


class QuotaExceeded(Exception):
    """SALON_QUEUE_LIMIT messages of one salon wait already; nothing of the request was stored."""


@dataclass(frozen=True, slots=True)
class NotificationRequest:
    """What one sender wants delivered, as it was read."""

    sender: Sender
    notifications: Sequence[Notification | Refusal]

    def salon_ids(self) -> set[int]:
        """The salons that the request is about."""
        if self.sender.salon_id is not None:
            return {self.sender.salon_id}
        named = (one.salon_id for one in self.notifications if isinstance(one, Notification))
        return {salon_id for salon_id in named if salon_id is not None}


def store_all(requests: Sequence[NotificationRequest]) -> list[list[Result] | QuotaExceeded]:
    """Store all that can be in one transaction; return each request's results in the order of its messages.

    A repeat of a salon's id has the `ext_id` of the first time and stores nothing. Raises DatabaseError, and
    then nothing is stored.
    """
    with transaction.atomic():
        salons = _locked({salon_id for request in requests for salon_id in request.salon_ids()})
        planner = Planner(salons)
        plans = _within_quota([_plan(planner, request) for request in requests], salons.values())
        planned = [
            one for plan in plans if isinstance(plan, list) for one in plan if isinstance(one, Planned)
        ]
        numbers = message_queue.queue_for_sessions([(one.session, one.message) for one in planned])
        _end_unwanted(planned, numbers)
    ext_ids = iter(numbers)
    return [_results(plan, ext_ids) if isinstance(plan, list) else plan for plan in plans]


def _locked(salon_ids: Iterable[int]) -> dict[int, Company]:
    """Lock the salons, in one order: two requests with the same ids cannot block each other then, and none
    slips past a freeze."""
    rows = Company.objects.select_for_update(of=("self",), no_key=True).filter(salon_id__in=list(salon_ids))
    return {row.salon_id: row for row in rows.select_related("session").only(*FIELDS).order_by("pk")}


def _plan(planner: Planner, request: NotificationRequest) -> Plan:
    return [
        planner.plan(request.sender, one) if isinstance(one, Notification) else one
        for one in request.notifications
    ]


def _within_quota(plans: list[Plan], companies: Iterable[Company]) -> list[Plan | QuotaExceeded]:
    """Return the plans, without those whose messages a salon's queue has no room for."""
    limit = settings.SALON_QUEUE_LIMIT
    if not limit:
        return [*plans]
    sessions = {company.session_id for company in companies if company.session_id is not None}
    queued = message_queue.queued_by_session(sessions)
    kept: list[Plan | QuotaExceeded] = []
    for plan in plans:
        names = {(one.session.pk, one.message.external_id) for one in plan if isinstance(one, Planned)}
        added = Counter(session for session, _name in names)
        if any(queued.get(session, 0) + number > limit for session, number in added.items()):
            kept.append(QuotaExceeded())
            continue
        for session, number in added.items():
            queued[session] = queued.get(session, 0) + number
        kept.append(plan)
    return kept


def _end_unwanted(planned: Sequence[Planned], numbers: Sequence[int]) -> None:
    """Advertising to a client who opted out is stored and ended at once, so that YClients is told
    "rejected" as of any other message, and a repeat finds the row."""
    adds: dict[int, list[tuple[str, int]]] = {}
    for one, number in zip(planned, numbers, strict=True):
        if one.message.category == Message.Category.ADDS:
            adds.setdefault(one.company.pk, []).append((one.message.phone, number))
    for company_id, messages in adds.items():
        sharing = Company.objects.filter(session__companies=company_id).values_list("pk", flat=True)
        phones = {phone for phone, _number in messages}
        unwanted = opt_outs.opted_out_phones(company_ids=list(sharing), phones=phones)
        ended = [number for phone, number in messages if phone in unwanted]
        if ended:
            message_queue.finish_waiting(
                Message.objects.filter(pk__in=ended), error_code=opt_outs.ERROR_CODE, error=opt_outs.ERROR
            )


def _results(plan: Plan, ext_ids: Iterator[int]) -> list[Result]:
    return [Accepted(one.id, str(next(ext_ids))) if isinstance(one, Planned) else one for one in plan]
