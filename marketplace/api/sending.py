"""Takes a message of the public API into the queue: once for each idempotency key."""

import uuid
from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone

from config.shared.storable import storable
from marketplace.api.errors import Problem
from marketplace.api.media import stored
from marketplace.inbound import opt_outs
from marketplace.models import Company, Forwarding
from marketplace.salons import phone_numbers, sending
from whatsapp.media import files
from whatsapp.messages import limits, message_queue
from whatsapp.models import Message, SendingLimits, Session

CANNOT_SEND = {
    "frozen": (HTTPStatus.PAYMENT_REQUIRED, "The salon's subscription is not paid."),
    "not_connected": (HTTPStatus.CONFLICT, "The salon has no linked WhatsApp."),
}
LONGEST_KEY = 100


def send(
    *,
    company: Company,
    to: str,
    text: str,
    category: str,
    send_at: datetime | None,
    expires_at: datetime,
    idempotency_key: str,
    file: "UploadedFile[Any] | None" = None,
) -> tuple[Message, bool]:
    """Queue the message; return its row and whether it is new. A repeat of the key returns the first row.

    `to` is a phone as people write it. Raises Problem with what the caller can do about it.
    """
    phone = digits_of(to, company)
    if not idempotency_key.isprintable() or len(idempotency_key) > LONGEST_KEY:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "bad_idempotency_key", "Idempotency-Key: 1 to 100 printable characters."
        )
    name = f"{company.salon_id}:{idempotency_key or uuid.uuid4().hex}"
    _session_of(company)  # before a file is stored for nothing
    with stored(company, file) as media, transaction.atomic():
        # Locked against a freeze or an opt-out of this very moment.
        company = Company.objects.select_for_update(of=("self",), no_key=True).get(pk=company.pk)
        session = _session_of(company)
        sent = Message.objects.filter(session=session, source=Message.Source.API, external_id=name).first()
        if sent is not None:
            if media is not None:
                files.drop(media.stored_name)
            return _same(sent, phone=phone, text=text, size=media.size if media else 0), False
        if category == Message.Category.ADDS:
            send_at = _when_advertising_may_go(company, session, phone, send_at)
        new = message_queue.NewMessage(
            phone=phone,
            text=text,
            source=Message.Source.API,
            external_id=name,
            category=category,
            not_before=send_at,
            expires_at=max(expires_at, send_at) if send_at else expires_at,
            reports=Forwarding.objects.filter(company=company, enabled=True, sends_statuses=True).exists(),
        )
        if media is None:
            return message_queue.queue_message(session=session, message=new), True
        return message_queue.queue_with_file(session=session, message=new, file=media), True


def digits_of(written: str, company: Company) -> str:
    """Return the digits of a phone, read as of the salon's country. Raises Problem."""
    try:
        return phone_numbers.digits_for_salon(written, company)
    except phone_numbers.NotAPhone as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "bad_phone", "This is not a phone number.") from error


def _session_of(company: Company) -> Session:
    try:
        return sending.session_of(company)
    except sending.CannotSend as error:
        status, detail = CANNOT_SEND[error.code]
        raise Problem(status, error.code, detail) from error


def _same(sent: Message, *, phone: str, text: str, size: int) -> Message:
    pruned = sent.pruned_at is not None
    kept = sent.media.size if sent.media else 0
    if not pruned and (sent.phone, sent.text, kept) != (phone, storable(text), size):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "This Idempotency-Key belongs to another message.",
        )
    return sent


def _when_advertising_may_go(
    company: Company, session: Session, phone: str, send_at: datetime | None
) -> datetime | None:
    sharing = session.companies.values_list("pk", flat=True)
    if opt_outs.opted_out(company_ids=list(sharing), phone=phone):
        raise Problem(HTTPStatus.CONFLICT, "opted_out", "The client wants no advertising.")
    row = SendingLimits.objects.filter(session=session).first()
    at = send_at or timezone.now()
    return limits.limits_of(session=session, row=row, now=at).adds_wait_until(at) or send_at
