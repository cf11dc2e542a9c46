"""Storing the notifications of several requests by one commit.

A message's `ext_id` is its row's number. A repeat is recognised for as long as the salon keeps its session,
which an uninstall ends.

Usually one statement does it all: it locks the salons, sees that they are as they were when their keys were
looked up, inserts, wakes pools and workers, and commits. Advertising, queues that are rather full, salons
that have changed meanwhile, and SQLite take a transaction.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection, transaction

from marketplace.inbound import opt_outs
from marketplace.models import Company
from marketplace.notifications import quota, salons
from marketplace.notifications.format import Accepted, Notification, Refusal
from marketplace.notifications.planning import Plan, Planned, Planner
from marketplace.notifications.quota import QuotaExceeded
from marketplace.notifications.salons import Salon
from marketplace.notifications.senders import Sender
from whatsapp.messages import message_queue
from whatsapp.models import Message

Result = Accepted | Refusal
ADDS = Message.Category.ADDS


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
    """Store all that can be by one commit; return each request's results in the order of its messages.

    A repeat of a salon's id has the `ext_id` of the first time and stores nothing. Raises DatabaseError, and
    then nothing is stored.
    """
    if not requests:
        return []
    found = _by_one_statement(requests) if connection.vendor == "postgresql" else None
    if found is not None:
        return found
    with transaction.atomic():
        locked = salons.by_number(_salon_ids(requests), locked=True)
        plans = quota.within(_plans(requests, locked), locked)
        planned = _planned(plans)
        numbers = message_queue.queue_for_sessions([(one.sending, one.message) for one in planned])
        _end_unwanted(planned, numbers)
    return _results(plans, numbers)


def _by_one_statement(
    requests: Sequence[NotificationRequest],
) -> list[list[Result] | QuotaExceeded] | None:
    """As `store_all` without a transaction; None, and nothing is stored, when it takes one."""
    if any(isinstance(one, Notification) and one.category == ADDS for each in requests
           for one in each.notifications):  # fmt: skip
        return None
    seen = {each.sender.salon.salon_id: each.sender.salon for each in requests if each.sender.salon}
    seen |= salons.by_number(_salon_ids(requests) - set(seen))
    plans = _plans(requests, seen)
    planned = _planned(plans)
    if not quota.fits_easily(planned):
        return None
    numbers: list[int] | None = []
    if planned:
        unchanged = salons.unchanged({one.salon.id: one.salon for one in planned}.values())
        messages = [(one.sending, one.message) for one in planned]
        numbers = message_queue.queue_for_sessions_if(unchanged, messages)
    return None if numbers is None else _results(plans, numbers)


def _salon_ids(requests: Sequence[NotificationRequest]) -> set[int]:
    return {salon_id for request in requests for salon_id in request.salon_ids()}


def _plans(requests: Sequence[NotificationRequest], known: Mapping[int, Salon]) -> list[Plan]:
    planner = Planner(known)
    return [
        [
            planner.plan(request.sender, one) if isinstance(one, Notification) else one
            for one in request.notifications
        ]
        for request in requests
    ]


def _planned(plans: Sequence[Plan | QuotaExceeded]) -> list[Planned]:
    return [one for plan in plans if isinstance(plan, list) for one in plan if isinstance(one, Planned)]


def _end_unwanted(planned: Sequence[Planned], numbers: Sequence[int]) -> None:
    """Advertising to a client who opted out is stored and ended at once, so that YClients is told
    "rejected" as of any other message, and a repeat finds the row."""
    adds: dict[int, list[tuple[str, int]]] = {}
    for one, number in zip(planned, numbers, strict=True):
        if one.message.category == ADDS:
            adds.setdefault(one.salon.id, []).append((one.message.phone, number))
    for company_id, messages in adds.items():
        sharing = Company.objects.filter(session__companies=company_id).values_list("pk", flat=True)
        phones = {phone for phone, _number in messages}
        unwanted = opt_outs.opted_out_phones(company_ids=list(sharing), phones=phones)
        ended = [number for phone, number in messages if phone in unwanted]
        if ended:
            message_queue.finish_waiting(
                Message.objects.filter(pk__in=ended), error_code=opt_outs.ERROR_CODE, error=opt_outs.ERROR
            )


def _results(
    plans: Sequence[Plan | QuotaExceeded], numbers: Sequence[int]
) -> list[list[Result] | QuotaExceeded]:
    ext_ids = iter(numbers)
    return [_of_plan(plan, ext_ids) if isinstance(plan, list) else plan for plan in plans]


def _of_plan(plan: Plan, ext_ids: Iterator[int]) -> list[Result]:
    return [Accepted(one.id, str(next(ext_ids))) if isinstance(one, Planned) else one for one in plan]
