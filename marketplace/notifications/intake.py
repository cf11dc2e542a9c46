"""YClients' notifications from bytes to rows: whose key it is, what is wanted, stored before the answer."""

import time
from collections import Counter

import structlog
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError
from django.utils.translation import gettext as _

from config.shared.database import on_live_connection
from config.shared.endpoints import Answer, IngestRequest, json_answer
from marketplace.notifications import format, store
from marketplace.notifications.format import Code, Refusal
from marketplace.notifications.metrics import OPERATOR_MESSAGES, OPERATOR_REQUESTS, OPERATOR_SECONDS
from marketplace.notifications.quota import QuotaExceeded
from marketplace.notifications.senders import Sender, senders_of
from marketplace.notifications.store import NotificationRequest

log = structlog.get_logger("operator")

RETRY_AFTER = 5  # seconds
RETRY_AFTER_QUOTA = 60  # seconds, in which a paced session sends some of what waits


def handle(requests: list[IngestRequest]) -> list[Answer]:
    """Store the notifications of several requests by one commit; return their answers in the same order."""
    started = time.monotonic()
    try:
        answers = on_live_connection(_handle, requests)
    except (DataError, IntegrityError) as error:
        # The database does not take one of them: the others are not to suffer from it.
        answers = [_unavailable(error)] if len(requests) == 1 else [handle([one])[0] for one in requests]
    except (DatabaseError, InterfaceError) as error:
        answers = [_unavailable(error) for _request in requests]
    took = time.monotonic() - started
    for answer in answers:
        OPERATOR_SECONDS.observe(took)
        OPERATOR_REQUESTS.labels(str(answer.status)).inc()
    return answers


def refuse(status: int, sentence: str) -> Answer:
    """Return the answer to a request that is refused as a whole."""
    log.info("notifications refused", status=status, cause=sentence)
    code = Code.BAD_TOKEN if status == 401 else Code.BAD_BODY
    return json_answer(status, format.refusal_of_request(code, sentence))


def _handle(requests: list[IngestRequest]) -> list[Answer]:
    keys = [_bearer(request.authorization) for request in requests]
    senders = senders_of(keys)
    read = [_read(request.body, senders.get(key)) for request, key in zip(requests, keys, strict=True)]
    results = iter(store.store_all([one for one in read if isinstance(one, NotificationRequest)]))
    return [_answer(next(results)) if isinstance(one, NotificationRequest) else one for one in read]


def _bearer(authorization: str) -> str:
    scheme, _space, key = authorization.strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _read(body: bytes, sender: Sender | None) -> NotificationRequest | Answer:
    if sender is None:
        return refuse(401, _("The key is missing or is not a salon's."))
    try:
        return NotificationRequest(sender, format.read(body))
    except format.BadRequest as error:
        return refuse(400, str(error))


def _answer(results: list[store.Result] | QuotaExceeded) -> Answer:
    if isinstance(results, QuotaExceeded):
        words = _("Too many messages of the salon wait to be sent. Try again later.")
        return _later(429, words, RETRY_AFTER_QUOTA)
    outcomes = Counter(str(int(one.code)) if isinstance(one, Refusal) else "stored" for one in results)
    for outcome, number in outcomes.items():
        OPERATOR_MESSAGES.labels(outcome).inc(number)
    status, rows = format.answer(results)
    return json_answer(status, rows)


def _unavailable(error: Exception) -> Answer:
    log.error("notifications not stored", cause=repr(error))
    return _later(503, _("Not kept: try again later."), RETRY_AFTER)


def _later(status: int, sentence: str, seconds: int) -> Answer:
    return json_answer(status, {"success": False, "error": sentence}, Retry_After=str(seconds))
