"""The operator's door: YClients delivers its notifications through us (POST /yclients/messages/)."""

import structlog
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from marketplace.notifications import format, intake
from marketplace.notifications.format import Code
from marketplace.notifications.metrics import OPERATOR_REQUESTS, OPERATOR_SECONDS

log = structlog.get_logger("operator")

RETRY_AFTER = 5  # seconds
RETRY_AFTER_QUOTA = 60  # seconds, in which a paced session sends some of what waits


class TooLarge(Exception):
    """The body is longer than operator_format.MAX_BYTES."""


@csrf_exempt
@require_POST
def messages(request: HttpRequest) -> HttpResponse:
    """Take notifications for WhatsApp; see `operator_format` for the shapes of body and answer.

    Nothing is answered as taken before it is in the database; 503 when it cannot be kept.
    """
    with OPERATOR_SECONDS.time():
        response = _answer(request)
    OPERATOR_REQUESTS.labels(str(response.status_code)).inc()
    return response


def _answer(request: HttpRequest) -> HttpResponse:
    try:
        sender = intake.authenticate(_bearer(request))
        wanted = format.read(_read_limited(request))
        results = intake.take(sender=sender, wanted=wanted)
    except intake.BadToken:
        return _refuse(Code.BAD_TOKEN, _("The key is missing or is not a salon's."))
    except TooLarge:
        return _refuse(Code.BAD_BODY, _("The body is larger than 4 MiB."), status=413)
    except format.BadRequest as error:
        return _refuse(Code.BAD_BODY, str(error))
    except intake.QuotaExceeded:
        words = _("Too many messages of the salon wait to be sent. Try again later.")
        headers = {"Retry-After": str(RETRY_AFTER_QUOTA)}
        return JsonResponse({"success": False, "error": words}, status=429, headers=headers)
    except (DatabaseError, InterfaceError):
        log.exception("notifications not kept")
        words = _("Not kept: try again later.")
        headers = {"Retry-After": str(RETRY_AFTER)}
        return JsonResponse({"success": False, "error": words}, status=503, headers=headers)
    status, rows = format.answer(results)
    return JsonResponse(rows, safe=False, status=status)


def _bearer(request: HttpRequest) -> str:
    scheme, _space, key = request.headers.get("Authorization", "").strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _read_limited(request: HttpRequest) -> bytes:
    """Return the body, never more of it in memory than is allowed. Raises TooLarge."""
    most = format.MAX_BYTES
    said = request.META.get("CONTENT_LENGTH")
    length = int(said) if said and said.isdecimal() else most + 1  # chunked: no length is said
    if said and length > most:
        raise TooLarge
    raw: bytes = request.read(length)
    if len(raw) > most:
        raise TooLarge
    return raw


def _refuse(code: Code, words: str, status: int | None = None) -> JsonResponse:
    log.info("notifications refused", code=int(code), cause=words)
    rows = format.refusal_of_request(code, words)
    return JsonResponse(rows, safe=False, status=status or code.http_status)
