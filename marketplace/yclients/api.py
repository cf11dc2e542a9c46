"""What we ask of YClients (YCLIENTS API reference, section Marketplace), and the shapes of its answers."""

import json
import re
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

from django.conf import settings

from marketplace.yclients.call_errors import Kind, YClientsError
from marketplace.yclients.http import Answer, Http

STATUSES = ("pending", "active", "freezed", "uninstalled")
ABSENT = "absent"
SPELLINGS = {"frozen": "freezed", "freeze": "freezed", "deleted": "uninstalled"}
SUCCESSES = (200, 201, 301)
COMPANY_FIELDS = {"title": 255, "phone": 32, "email": 255, "address": 500, "timezone_name": 64}


@dataclass(frozen=True, slots=True)
class Installation:
    """What YClients says about our application in a salon.

    `status` is pending, active, freezed, uninstalled, or absent where YClients answers 404. `paid_until` is
    the last day that was paid for, as YClients writes it, `last_payment` such as `990 RUB`; both may be
    empty.
    """

    status: str
    paid_until: str = ""
    last_payment: str = ""

    @property
    def wants_us(self) -> bool:
        """The salon is being connected to us, or is."""
        return self.status in ("pending", "active")


@dataclass(frozen=True, slots=True)
class ListedSalon:
    """A salon of the list of those that use us; `status` is empty where the list does not say it."""

    salon_id: int
    title: str
    status: str


@dataclass(frozen=True, slots=True)
class Activation:
    """A successful activation: the HTTP status, and where the owner's browser goes next, if said."""

    status: int
    location: str


class YClients:
    """One caller's line to YClients; use as a context manager.

    `patience` is the longest time in seconds that one method may take, its retries and waiting included.
    A `low_priority` caller takes no call slot that others would have to wait behind.
    """

    def __init__(self, *, patience: float = 12.0, low_priority: bool = False) -> None:
        self._http = Http(patience=patience, low_priority=low_priority)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.close()

    def company(self, salon_id: int) -> dict[str, str]:
        """Return the salon's title, phone, email, address and timezone_name; missing ones are left out."""
        answer = self._http.call("company", "GET", f"{settings.YCLIENTS_API_URL}/api/v1/company/{salon_id}")
        data = object_of(answer)
        return {
            name: text[:limit] for name, limit in COMPANY_FIELDS.items() if (text := line_of(data.get(name)))
        }

    def installation(self, salon_id: int) -> Installation:
        """Return our installation in this salon. Raises YClientsError, also for a status it does not know."""
        try:
            answer = self._http.call("install_status", "GET", installed_url(salon_id))
        except YClientsError as error:
            if error.status == 404:
                return Installation(ABSENT)
            raise
        data = object_of(answer)
        status = _status(data)
        if status not in STATUSES:
            raise YClientsError(Kind.MALFORMED, "YClients named no known installation status", status=200)
        return Installation(status, *_last_payment(data.get("payments")))

    def payment_link(self, salon_id: int, *, discount: int = 0) -> str:
        """Return where the salon's owner pays for our application; empty without an address.

        `discount` is in percent. Raises YClientsError, with status 404 when the application has no tariffs.
        """
        query = {"salon_id": salon_id, "application_id": settings.YCLIENTS_APPLICATION_ID}
        query |= {"discount": discount} if discount else {}
        url = f"{settings.YCLIENTS_MARKETPLACE_URL}/application/payment_link"
        return line_of(object_of(self._http.call("payment_link", "GET", url, query=query)).get("url"))

    def activate(self, *, salon_id: int, api_key: str, webhook_urls: list[str]) -> Activation:
        """Tell YClients that the salon works and hand over its key; sent once, never repeated here.

        Raises YClientsError; `outcome_unknown` says that YClients may have taken the key all the same.
        """
        redirect = settings.YCLIENTS_ACTIVATION_ENDPOINT == "redirect"
        path = "partner/callback/redirect" if redirect else "partner/callback"
        body: dict[str, Any] = {
            "salon_id": salon_id,
            "application_id": settings.YCLIENTS_APPLICATION_ID,
            "api_key": api_key,
            "webhook_urls": webhook_urls,
        }
        if not redirect:
            body["channels"] = ["whatsapp"]
        url = f"{settings.YCLIENTS_MARKETPLACE_URL}/{path}"
        answer = self._http.call("activate", "POST", url, body=body, secrets=(api_key, *webhook_urls))
        if answer.status not in SUCCESSES:
            raise YClientsError(
                Kind.MALFORMED,
                f"YClients answered {answer.status}",
                status=answer.status,
                outcome_unknown=True,
            )
        if answer.status != 301:
            refuse_failure(answer)
        return Activation(answer.status, answer.location if answer.status == 301 else "")

    def uninstall(self, salon_id: int) -> None:
        """Remove our application from the salon. Raises YClientsError."""
        self._http.call("uninstall", "POST", f"{installed_url(salon_id)}/uninstall", body={})

    def update_channel(self, salon_id: int, *, available: bool) -> None:
        """Tell YClients whether the salon's WhatsApp can be used now. Raises YClientsError."""
        body = {
            "salon_id": salon_id,
            "application_id": settings.YCLIENTS_APPLICATION_ID,
            "channel_slug": "whatsapp",
            "is_available": available,
        }
        url = f"{settings.YCLIENTS_MARKETPLACE_URL}/application/update_channel"
        self._http.call("update_channel", "POST", url, body=body, repeatable=True)

    def salons(self, *, page: int = 1, count: int = 1000) -> list[dict[str, Any]]:
        """Return one page of the salons that use our application. Raises YClientsError."""
        application = quote(str(settings.YCLIENTS_APPLICATION_ID))
        url = f"{settings.YCLIENTS_MARKETPLACE_URL}/application/{application}/salons"
        answer = self._http.call("salons", "GET", url, query={"page": page, "count": count})
        rows = json_of(answer)
        rows = rows.get("data", []) if isinstance(rows, dict) else rows
        if not isinstance(rows, list):
            raise YClientsError(Kind.MALFORMED, "YClients listed no salons", status=answer.status)
        return [row for row in rows if isinstance(row, dict)]


def listed_salon(row: dict[str, Any]) -> ListedSalon | None:
    """Read one row of the list of salons; None for one without a salon's number.

    The list's field names are documented for `salon_id` only: `id` is read too, and the status in the
    same places as that of a single installation.
    """
    raw = str(row.get("salon_id", row.get("id")))
    number = int(raw) if raw.isascii() and raw.isdecimal() and len(raw) < 20 else 0
    if not 0 < number < 2**63:
        return None
    status = _status(row)
    return ListedSalon(number, line_of(row.get("title")), status if status in STATUSES else "")


def _status(data: dict[str, Any]) -> str:
    said: Any = data.get("connection_status", data.get("status"))
    if isinstance(said, dict):
        said = said.get("status")
    return SPELLINGS.get(str(said).lower(), str(said).lower())


def _last_payment(payments: Any) -> tuple[str, str]:
    """The last paid day and the sum of the payment that bought it, of those that were not given back."""
    rows = [row for row in payments if isinstance(row, dict)] if isinstance(payments, list) else []
    kept = [row for row in rows if not row.get("is_refunded") and line_of(row.get("period_to"))]
    if not kept:
        return "", ""
    last = max(kept, key=lambda row: line_of(row["period_to"]))
    paid = f"{line_of(str(last.get('payment_sum', '')))} {line_of(last.get('currency_iso'))}".strip()
    return line_of(last["period_to"])[:10], paid[:40]


def installed_url(salon_id: int) -> str:
    """The address of our installation in a salon."""
    application = settings.YCLIENTS_APPLICATION_ID
    return f"{settings.YCLIENTS_MARKETPLACE_URL}/salon/{salon_id}/application/{application}"


def json_of(answer: Answer) -> Any:
    """Return the answer's JSON. Raises YClientsError."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise YClientsError(
            Kind.MALFORMED, "YClients answered with something that is not JSON", status=answer.status
        ) from error


def object_of(answer: Answer) -> dict[str, Any]:
    """Return the answer's `data`, or the answer itself where YClients leaves that level out."""
    refuse_failure(answer)
    said = json_of(answer)
    data = said.get("data", said) if isinstance(said, dict) else None
    if not isinstance(data, dict):
        raise YClientsError(Kind.MALFORMED, "YClients answered without an object", status=answer.status)
    return data


def refuse_failure(answer: Answer) -> None:
    """Raise for `{"success": false}` under a good HTTP status; an empty or other body is no failure."""
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return
    if isinstance(said, dict) and said.get("success") is False:
        raise YClientsError(Kind.REFUSED, answer.message, status=answer.status)


def line_of(value: Any) -> str:
    """Return a value of YClients as one line of printable text; empty for anything but text and numbers."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]+", " ", str(value)).strip()
