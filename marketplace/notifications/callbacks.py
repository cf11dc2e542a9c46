"""Posts to YClients what became of its notifications, at the address that came with each.

A worker claims messages that are due, posts them grouped by address, and records what was reported; with the
claim lost it records nothing. A worker that dies between the two repeats the same statuses, which does no
harm. The order stays, because one worker at a time has a message and `reported` says how far it is.

The address holds the partner token and is never logged.
"""

import json

from config.shared.masking import mask_text
from marketplace.models import Company
from marketplace.notifications import callback_queue
from marketplace.notifications.callback_queue import REFUSAL, Callback, Claim, Outcome
from marketplace.notifications.metrics import CALLBACKS
from marketplace.notifications.statuses import pending, serialized
from marketplace.salons import phone_numbers
from marketplace.yclients import rate_limit, safe_http
from whatsapp.models import Message

# The refusal is about the address, not about one of the messages.
ABOUT_ADDRESS = (401, 403, 405, 410)
TRANSIENT = (408, 425, 429)


DELIVERED = Outcome("reported", weight=0)


def deliver(_message_id: int = 0) -> int:
    """Post one batch of what is due, whatever message asked for it; return how many were reported."""
    claim = callback_queue.claim_batch()
    if not claim.messages:
        return 0
    by_address: dict[str, list[Callback]] = {}
    for callback in _callbacks(claim):
        by_address.setdefault(callback.message.callback_url if callback.statuses else "", []).append(callback)
    nothing_new = by_address.pop("", [])
    callback_queue.record_reported(claim, nothing_new)
    return sum(_deliver_to(claim, url, callbacks) for url, callbacks in by_address.items())


def _callbacks(claim: Claim) -> list[Callback]:
    """What is to be posted. A message at which we fail is tried again later and holds up no other one."""
    numbers = {_salon_number(message) for message in claim.messages}
    companies = Company.objects.only("salon_id", "status", "phone", "timezone_name").in_bulk(
        [int(number) for number in numbers if number.isdecimal()], field_name="salon_id"
    )
    callbacks = []
    for message in claim.messages:
        try:
            callbacks.append(_callback(message, companies.get(int(_salon_number(message)))))
        except Exception as error:  # noqa: BLE001  whatever it is, it is recorded and shown to support staff
            cause = mask_text(repr(error))
            callback_queue.record_failure(claim, [Callback(message, [], "")], Outcome("unreadable", cause))
    return callbacks


def _callback(message: Message, company: Company | None) -> Callback:
    statuses = pending(
        status=message.status,
        error_code=message.error_code,
        reported=message.reported,
        unpaid=company is not None and company.status == Company.Status.FROZEN,
    )
    phone, zone = (company.phone, company.timezone_name) if company else ("", "")
    region = phone_numbers.region_of(phone=phone, timezone_name=zone)
    return Callback(message, statuses, phone_numbers.currency_of(region))


def _salon_number(message: Message) -> str:
    return (message.external_id or "").partition(":")[0]


def _own_id(message: Message) -> str:
    return (message.external_id or "").partition(":")[2]


def _deliver_to(claim: Claim, url: str, callbacks: list[Callback]) -> int:
    """Post to one address; a refused batch is halved, so that one message cannot hold up the others."""
    waiting, reported = [callbacks], 0
    while waiting:
        part = waiting.pop()
        if not claim.has_time():
            callback_queue.record_failure(claim, part, Outcome("postponed", weight=0))
            continue
        outcome = _post(url, part)
        CALLBACKS.labels(outcome.kind).inc()
        if outcome is DELIVERED:
            callback_queue.record_reported(claim, part)
            reported += len(part)
        elif outcome.about_one and len(part) > 1:
            half = len(part) // 2
            waiting += [part[half:], part[:half]]
        else:
            for left in (part, *waiting) if not outcome.about_one else (part,):
                callback_queue.record_failure(claim, left, outcome)
            waiting = waiting if outcome.about_one else []
    return reported


def _post(url: str, callbacks: list[Callback]) -> Outcome:
    rows = [
        serialized(own_id=_own_id(callback.message), status=status, currency=callback.currency)
        for callback in callbacks
        for status in callback.statuses
    ]
    try:
        rate_limit.wait_for_slot()
        answer = safe_http.post(url, json.dumps(rows).encode())
    except rate_limit.SlotsTaken as error:
        return Outcome("busy", "no free call slot", weight=0, retry_after=error.wait)
    except safe_http.AddressRefused as error:
        return Outcome("forbidden", f"the address is not allowed: {error}", weight=REFUSAL)
    except safe_http.Unreachable as error:
        return Outcome("unreachable", str(error))
    cause = f"HTTP {answer.status}"
    if 200 <= answer.status < 300:
        return DELIVERED
    if answer.status >= 500 or answer.status in TRANSIENT:
        return Outcome("unavailable", cause, retry_after=answer.retry_after or 0.0)
    about_one = 400 <= answer.status < 500 and answer.status not in ABOUT_ADDRESS
    return Outcome("refused", cause, weight=REFUSAL, about_one=about_one)
