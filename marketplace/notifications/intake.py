"""YClients' notifications: whose key it is, which salon each message is for, all stored by one commit.

A message's `ext_id` is its row's number. Its `external_id` in the row is the salon's number and YClients'
id, because several salons may share one session. A repeat is recognised for as long as the salon keeps its
session, which an uninstall ends.
"""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from config.shared.counting import bounded_count
from config.shared.endpoints import Answer, IngestRequest, json_answer
from marketplace.inbound import opt_outs
from marketplace.models import Company
from marketplace.notifications import format
from marketplace.notifications.format import Accepted, Code, Notification, Refusal
from marketplace.notifications.metrics import OPERATOR_MESSAGES, OPERATOR_REQUESTS, OPERATOR_SECONDS
from marketplace.salons import clock, phone_numbers
from marketplace.yclients.signing import is_placeholder_token
from whatsapp.crypto.encryption import lookup_digests
from whatsapp.messages import limits, message_queue
from whatsapp.models import Message, SendingLimits, Session

log = structlog.get_logger("operator")

Result = Accepted | Refusal
# After this time the message is not worth sending: a reminder comes too late, a mailing is stale.
LIFETIMES = {Message.Category.SERVICE: timedelta(hours=3), Message.Category.ADDS: timedelta(hours=24)}
SERVED = (Company.Status.ACTIVE, Company.Status.ACTIVATING)
FIELDS = ("id", "salon_id", "status", "phone", "timezone_name", "session")


RETRY_AFTER = 5  # seconds
RETRY_AFTER_QUOTA = 60  # seconds, in which a paced session sends some of what waits


class BadToken(Exception):
    """The bearer key is no salon's and not ours."""


class QuotaExceeded(Exception):
    """SALON_QUEUE_LIMIT messages of one salon wait already; nothing of the request was stored."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who speaks: one salon by its key, or YClients itself by the partner token, with `salon_id` None."""

    salon_id: int | None


def handle(requests: list[IngestRequest]) -> list[Answer]:
    """Store the notifications of several requests; return their answers in the same order."""
    return [_handle(request) for request in requests]


def refuse(status: int, sentence: str) -> Answer:
    """Count a request that is refused as a whole and return its answer."""
    log.info("notifications refused", status=status, cause=sentence)
    OPERATOR_REQUESTS.labels(str(status)).inc()
    code = Code.BAD_TOKEN if status == 401 else Code.BAD_BODY
    return json_answer(status, format.refusal_of_request(code, sentence))


@OPERATOR_SECONDS.time()
def _handle(request: IngestRequest) -> Answer:
    try:
        sender = authenticate(_bearer(request.authorization))
        results = store(sender=sender, notifications=format.read(request.body))
    except BadToken:
        return refuse(401, _("The key is missing or is not a salon's."))
    except format.BadRequest as error:
        return refuse(400, str(error))
    except QuotaExceeded:
        return _later(
            429, _("Too many messages of the salon wait to be sent. Try again later."), RETRY_AFTER_QUOTA
        )
    except (DatabaseError, InterfaceError):
        log.exception("notifications not stored")
        return _later(503, _("Not kept: try again later."), RETRY_AFTER)
    status, rows = format.answer(results)
    OPERATOR_REQUESTS.labels(str(status)).inc()
    return json_answer(status, rows)


def _later(status: int, sentence: str, seconds: int) -> Answer:
    OPERATOR_REQUESTS.labels(str(status)).inc()
    return json_answer(status, {"success": False, "error": sentence}, Retry_After=str(seconds))


def _bearer(authorization: str) -> str:
    scheme, _space, key = authorization.strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def authenticate(key: str) -> Sender:
    """Return whose key it is; in constant time, one query. Raises BadToken.

    Keys of uninstalled salons are destroyed. A salon's key is found by its keyed digest, so that the time of
    the search tells nothing about other keys.
    """
    if not key or not key.isascii():
        raise BadToken
    ours = settings.YCLIENTS_PARTNER_TOKEN
    if hmac.compare_digest(key.encode(), ours.encode()) and not is_placeholder_token(ours):
        return Sender(salon_id=None)
    company = Company.objects.filter(api_key_digest__in=lookup_digests(key)).only("salon_id").first()
    if company is None:
        raise BadToken
    return Sender(salon_id=company.salon_id)


def store(*, sender: Sender, notifications: Sequence[Notification | Refusal]) -> list[Result]:
    """Store all that can be in one transaction; return what became of each, in the order given.

    A repeat of a salon's id returns the `ext_id` of the first time and stores nothing. Raises DatabaseError
    or QuotaExceeded, and then nothing is stored.
    """
    results: dict[int, Result] = {}
    by_salon: dict[int, list[tuple[int, Notification]]] = {}
    for place, one in enumerate(notifications):
        salon_id = _salon_of(one, sender) if isinstance(one, Notification) else one
        if isinstance(salon_id, Refusal):
            results[place] = salon_id
        elif isinstance(one, Notification):
            by_salon.setdefault(salon_id, []).append((place, one))
    with transaction.atomic():
        companies = _locked(by_salon)
        for salon_id, placed in by_salon.items():
            results |= _store_for(companies.get(salon_id), placed)
    _note(sender, results)
    return [results[place] for place in range(len(notifications))]


def _salon_of(one: Notification, sender: Sender) -> int | Refusal:
    if sender.salon_id is None:
        return one.salon_id or Refusal(one.id, Code.BAD_TOKEN, _("The message does not name its salon."))
    if one.salon_id not in (None, sender.salon_id):
        return Refusal(one.id, Code.FORBIDDEN, _("This key may not send for another salon."))
    return sender.salon_id


def _locked(salon_ids: Iterable[int]) -> dict[int, Company]:
    """Lock the salons, in one order: two requests with the same ids cannot block each other then, and none
    slips past a freeze."""
    rows = Company.objects.select_for_update(of=("self",), no_key=True).filter(salon_id__in=list(salon_ids))
    return {row.salon_id: row for row in rows.only(*FIELDS).order_by("pk")}


def _within_quota(company: Company, added: int) -> None:
    """Raises QuotaExceeded. Counts by the index of the queue, and no further than the limit."""
    limit = settings.SALON_QUEUE_LIMIT
    queued = Message.objects.filter(session=company.session_id, status=Message.Status.QUEUED)
    if limit and bounded_count(queued, limit) + added > limit:
        raise QuotaExceeded


def _store_for(company: Company | None, placed: list[tuple[int, Notification]]) -> dict[int, Result]:
    unserved = _why_not(company)
    if company is None or company.session_id is None or unserved is not None:
        code, words = unserved or (Code.NOT_FOUND, _("This salon has no WhatsApp here."))
        return {place: Refusal(one.id, code, words) for place, one in placed}
    region = phone_numbers.region_of(phone=company.phone, timezone_name=company.timezone_name)
    results: dict[int, Result] = {}
    phones: dict[int, str] = {}
    for place, one in placed:
        try:
            phones[place] = phone_numbers.digits_of(one.phone, region=region)
        except phone_numbers.NotAPhone as error:
            results[place] = Refusal(one.id, Code.BAD_FIELD, str(error))
    return results | _queue(
        company, [(place, one, phones[place]) for place, one in placed if place in phones]
    )


def _why_not(company: Company | None) -> tuple[Code, str] | None:
    if company is not None and company.status == Company.Status.FROZEN:
        return Code.NO_FUNDS, _("The salon's subscription is not paid: sending is stopped.")
    if company is None or company.status not in SERVED or company.session_id is None:
        return Code.NOT_FOUND, _("This salon has no WhatsApp here.")
    return None


def _queue(company: Company, placed: list[tuple[int, Notification, str]]) -> dict[int, Result]:
    if not placed or company.session_id is None:
        return {}
    session = Session.objects.get(pk=company.session_id)
    earliest = _earliest(company, session, {one.category for _place, one, _phone in placed})
    now = timezone.now()
    # Of one id said twice in one request the first counts.
    fresh: dict[str, message_queue.NewMessage] = {}
    for _place, one, phone in placed:
        fresh.setdefault(
            one.id,
            message_queue.NewMessage(
                phone=phone,
                text=one.text,
                source=Message.Source.OPERATOR,
                external_id=f"{company.salon_id}:{one.id}",
                category=one.category,
                callback_url=one.callback_url,
                not_before=earliest.get(one.category),
                expires_at=now + LIFETIMES[Message.Category(one.category)],
            ),
        )
    _within_quota(company, len(fresh))
    rows = message_queue.queue_messages(session=session, messages=list(fresh.values()))
    _end_unwanted(company, rows)
    ext_ids = {own_id: str(row.pk) for own_id, row in zip(fresh, rows, strict=True)}
    return {place: Accepted(one.id, ext_ids[one.id]) for place, one, _phone in placed}


def _end_unwanted(company: Company, rows: Sequence[Message]) -> None:
    """Advertising to a client who opted out is stored and ended at once, so that YClients is told
    "rejected" as of any other message, and a repeat finds the row."""
    phones = {row.phone for row in rows if row.category == Message.Category.ADDS}
    if not phones:
        return
    sharing = Company.objects.filter(session__companies=company.pk).values_list("pk", flat=True)
    unwanted = opt_outs.opted_out_phones(company_ids=list(sharing), phones=phones)
    if unwanted:
        ended = [row.pk for row in rows if row.category == Message.Category.ADDS and row.phone in unwanted]
        message_queue.finish_waiting(
            Message.objects.filter(pk__in=ended), error_code=opt_outs.ERROR_CODE, error=opt_outs.ERROR
        )


def _earliest(company: Company, session: Session, categories: set[str]) -> dict[str, datetime | None]:
    """Return when each category may go out; advertising keeps to the daytime by the salon's clock."""
    if Message.Category.ADDS not in categories:
        return {}
    clock.follow(company)
    row = SendingLimits.objects.filter(session=session).first()
    now = timezone.now()
    return {Message.Category.ADDS: limits.limits_of(session=session, row=row, now=now).adds_wait_until(now)}


def _note(sender: Sender, results: dict[int, Result]) -> None:
    refused: dict[int, int] = {}
    for result in results.values():
        code = int(result.code) if isinstance(result, Refusal) else 0
        refused[code] = refused.get(code, 0) + 1
    for code, number in refused.items():
        OPERATOR_MESSAGES.labels(str(code) if code else "stored").inc(number)
    stored = refused.pop(0, 0)
    log.info("notifications stored", salon_id=sender.salon_id, stored=stored, refused=refused)
