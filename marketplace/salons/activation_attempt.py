"""One attempt at activating a salon, by whoever holds its claim.

The key is stored before it is sent and no other is ever sent while that one may have been taken: after a
crash, a timeout or a lost answer YClients is asked what is true, and the call is made again with the same
key only if it still waits for one. No transaction is open during a call.
"""

import secrets
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NoReturn

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from config.shared.queue import ClaimLost, Queue
from marketplace.metrics import ACTIVATIONS
from marketplace.models import Company, MarketplaceEvent, WrongStatus
from marketplace.salons import clock, lifecycle, webhook_secrets
from marketplace.salons.activation_errors import (
    FOREIGN_KEY,
    GAVE_UP,
    NOT_AWAITING,
    NOT_INSTALLING,
    REFUSED,
    RUNNING,
    UNCLEAR,
    ActivationError,
    ActivationRefused,
    ActivationUnfinished,
    AlreadyRunning,
    NotAwaiting,
)
from marketplace.yclients.api import Activation, Installation, YClients
from marketplace.yclients.call_errors import Kind, YClientsError
from marketplace.yclients.redirects import safe_redirect
from whatsapp.crypto.encryption import lookup_digest

log = structlog.get_logger("activation")

CALL_PATIENCE = 12.0  # seconds for one call to YClients with its retries
LONGEST = 25.0  # seconds after which the rest is left to the worker
PAUSES = (0.5, 1.5, 0.0)  # seconds after each call without a clear answer

Status = Company.Status
UNFINISHED = (Status.PENDING_WHATSAPP, Status.ACTIVATION_FAILED, Status.ACTIVATING)
QUEUE = Queue(
    name="activations",
    model=Company,
    where=Q(status__in=UNFINISHED, disputed_at__isnull=True),
    due_at="activation_next_at",
    null_is_due=True,
    claimed_until="activation_claimed_until",
    attempts="activation_attempts",
    error="activation_error",
    lease=timedelta(seconds=30),  # longer than any one step; renewed before each
    max_attempts=170,  # with these pauses over the 12 hours that an installation waits for us
    first=2.0,
    longest=600.0,
)


@dataclass(frozen=True, slots=True)
class ActivationResult:
    """An active salon. `yclients_response` says how we know: an HTTP status, or the state asked for."""

    company: Company
    redirect_url: str
    yclients_response: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Attempt:
    """The claim's holder at work; `run` once, then `release`."""

    company: Company
    cause: str
    claimed: Company  # the row as it was claimed
    yclients: YClients
    ends: float = field(default_factory=lambda: time.monotonic() + LONGEST)
    sent_before: bool = False  # the key was there when we came, so it may have been sent

    def run(self) -> ActivationResult:
        """Bring the salon to `active`, or raise as `activation.activate` does."""
        self.company.refresh_from_db()
        self.sent_before = bool(self.company.api_key)
        installation = self._ask() if self._must_ask() else None
        if installation and (done := self._settled(installation)):
            return done
        self._store_key(offered=installation is None or installation.status == "pending")
        for pause in PAUSES:
            self._renew()
            try:
                return self._activated(self._send())
            except YClientsError as error:
                if done := self._after_failure(error):
                    return done
            if time.monotonic() + pause >= self.ends:
                break
            time.sleep(pause)
        raise self._postponed("YClients still waits after calls without a clear answer")

    def release(self) -> None:
        """Let others claim the salon."""
        QUEUE.release(self.claimed)

    def _renew(self) -> None:
        try:
            QUEUE.renew(self.claimed)
        except ClaimLost as error:
            raise AlreadyRunning(RUNNING) from error

    def _must_ask(self) -> bool:
        return settings.YCLIENTS_VERIFY_INSTALLATION or bool(self.company.api_key)

    def _ask(self) -> Installation:
        """Ask YClients what is true; when it cannot say, leave the rest for later."""
        self._renew()
        try:
            return self.yclients.installation(self.company.salon_id)
        except YClientsError as error:
            if error.status == 403:
                self._fail(NOT_INSTALLING, error)
            raise self._postponed(str(error)) from error

    def _settled(self, installation: Installation) -> ActivationResult | None:
        """End the attempt where YClients' answer settles it; None when the key has to be sent."""
        if installation.status in ("active", "freezed") and self.company.api_key and self.company.key_offered:
            return self._activated(installation)
        if not installation.wants_us:
            self._fail(NOT_INSTALLING)
        return None

    def _store_key(self, *, offered: bool) -> None:
        """Commit the key that is to be sent: the one from before, or a new one."""
        key = self.company.api_key or secrets.token_hex(32)
        secret = self.company.webhook_secret or secrets.token_urlsafe(32)
        try:
            # Only the claim's holder writes keys, so what was read when the attempt began still holds.
            self._move(
                to=Status.ACTIVATING,
                only_if=Q(
                    activation_claimed_until=self.claimed.activation_claimed_until, disputed_at__isnull=True
                ),
                api_key=key,
                api_key_digest=lookup_digest(key),
                webhook_secret=secret,
                webhook_secret_digest=lookup_digest(secret),
                key_offered=offered or self.company.key_offered,
                activation_error="",
            )
        except WrongStatus as lost:
            raise NotAwaiting(NOT_AWAITING) from lost

    def _send(self) -> Activation:
        # Not the general address beside it: an entity event sent there proves nothing and would be refused.
        return self.yclients.activate(
            salon_id=self.company.salon_id,
            api_key=self.company.api_key,
            webhook_urls=[webhook_secrets.address_of(self.company)],
        )

    def _after_failure(self, error: YClientsError) -> ActivationResult | None:
        """Find out what a failed call came to: a result, an exception, or None to send the same key again."""
        log.warning("activation call failed", salon_id=self.company.salon_id, cause=str(error))
        if error.kind in (Kind.BUSY, Kind.UNCONFIGURED):
            raise self._postponed(str(error))
        if error.permanent and error.status != 403 and not self.sent_before:
            self._fail(REFUSED, error)
        self.sent_before = True
        # A no may also be the answer to a key that was taken before, when that answer was lost.
        installation = self._ask()
        if done := self._settled(installation):
            return done
        if error.permanent:
            self._fail(FOREIGN_KEY if installation.status == "active" else REFUSED, error)
        return None

    def _activated(self, answer: Activation | Installation) -> ActivationResult:
        location = answer.location if isinstance(answer, Activation) else ""
        try:
            with transaction.atomic():
                self._move(
                    to=Status.ACTIVE,
                    # Not when somebody has withdrawn or destroyed the key meanwhile.
                    only_if=Q(api_key_digest=self.company.api_key_digest),
                    activated_at=timezone.now(),
                    activation_error="",
                    activation_attempts=0,
                    activation_next_at=None,
                    redirect_url=safe_redirect(location),
                )
                self.company.note(
                    MarketplaceEvent.Type.INTEGRATION_ACTIVATED, by=self.cause, yclients=str(answer.status)
                )
                clock.follow(self.company)
                if answer.status == "freezed":
                    lifecycle.freeze(self.company, by="yclients status")
        except WrongStatus as error:
            if self.company.status != Status.ACTIVE:
                log.warning("activation came too late", salon_id=self.company.salon_id, cause=str(error))
                raise NotAwaiting(NOT_AWAITING) from error
            self.company.refresh_from_db()
        else:
            ACTIVATIONS.labels("active").inc()
            log.info("salon active", salon_id=self.company.salon_id, by=self.cause, yclients=answer.status)
        return ActivationResult(self.company, self.company.redirect_url, {"status": answer.status})

    def _fail(self, message: str, error: YClientsError | None = None) -> NoReturn:
        self._end(message, error, **Company.WITHOUT_SECRETS)
        ACTIVATIONS.labels("refused").inc()
        raise ActivationRefused(message)

    def _postponed(self, cause: str) -> ActivationError:
        """Leave the rest to the worker, the key with it; after the last attempt to a person. To be raised."""
        if self.company.activation_attempts >= QUEUE.max_attempts:
            self._end(GAVE_UP)
            ACTIVATIONS.labels("gave_up").inc()
            return ActivationRefused(GAVE_UP)
        QUEUE.retry(self.claimed, error=UNCLEAR)
        lifecycle.notify_pages(self.company)
        log.warning("activation postponed", salon_id=self.company.salon_id, cause=cause)
        return ActivationUnfinished(UNCLEAR)

    def _end(self, message: str, error: YClientsError | None = None, **changes: Any) -> None:
        details = {"http_status": error.status, "yclients_message": error.message} if error else {}
        try:
            with transaction.atomic():
                self._move(
                    to=Status.ACTIVATION_FAILED,
                    only_if=Q(activation_claimed_until=self.claimed.activation_claimed_until),
                    activation_error=message,
                    activation_next_at=None,
                    **changes,
                )
                self.company.note(
                    MarketplaceEvent.Type.ACTIVATION_FAILED, by=self.cause, reason=message, **details
                )
        except WrongStatus as lost:
            raise NotAwaiting(NOT_AWAITING) from lost
        log.warning(
            "activation failed", salon_id=self.company.salon_id, by=self.cause, reason=message, **details
        )

    def _move(self, *, to: str, only_if: Q, **changes: Any) -> None:
        self.company.move(
            to=to,
            sources=UNFINISHED,
            only_if=only_if,
            **changes,
        )
        lifecycle.notify_pages(self.company)
