"""What each event of the engine leads to: one short function an event."""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from whatsapp import metrics
from whatsapp.engine import events
from whatsapp.models import Session, Trouble
from whatsapp.pool.link import Link
from whatsapp.sessions import policy, services, troubles
from whatsapp.sessions.context import SessionContext
from whatsapp.sessions.policy import BAN_OF_UNKNOWN_LENGTH, NO_CODES, PAIRING_FAILURES_MOST

SETTLING = timedelta(minutes=2)
EARLY = timedelta(minutes=15)  # a device that is removed so soon, and before it was stable, never worked
Status, Wanted = Session.Status, Session.Wanted


async def handle(context: SessionContext, link: Link, event: events.SessionEvent) -> None:
    """Do what the event calls for; what concerns messages alone is the sender's."""
    handler = HANDLERS.get(type(event))
    if handler:
        context.lease.host = context.engine.host_of(context.session) or context.lease.host
        await handler(context, link, event)
    else:
        await link.sender.handle_event(event)


async def on_qr(context: SessionContext, link: Link, event: events.QrCode) -> None:
    row = context.row
    if not row.qr:
        metrics.FIRST_QR_SECONDS.observe(time.monotonic() - link.pairing_started)
    code_is_shown = row.status == Status.PAIRING_CODE and row.pairing_code
    await context.write_qr(
        status=Status.PAIRING_CODE if code_is_shown else Status.QR,
        qr=event.text,
        qr_expires_at=timezone.now() + timedelta(seconds=event.lifetime),
    )
    if row.pairing_phone and not link.code_asked:
        await link.ask_for_code()


async def on_pairing_code(context: SessionContext, link: Link, event: events.PairingCode) -> None:
    await context.write(
        status=Status.PAIRING_CODE,
        pairing_code=event.code,
        pairing_code_expires_at=timezone.now() + timedelta(seconds=event.lifetime),
        pairing_error="",
    )


async def on_pairing_code_failed(
    context: SessionContext, link: Link, event: events.PairingCodeFailed
) -> None:
    await context.write(
        status=Status.QR,
        pairing_code="",
        pairing_code_expires_at=None,
        pairing_error=event.code,
        note="pairing_code_failed",
        detail=event.message,
    )


async def on_pairing_ended(context: SessionContext, link: Link, event: events.PairingEnded) -> None:
    await context.load()
    row, failed = context.row, event.reason == "error"
    attempts = row.attempts + 1 if failed else 0
    if services.is_viewed(session=row) and attempts <= PAIRING_FAILURES_MOST:
        # Somebody waits at the page: the next code comes by itself.
        await context.write(
            attempts=attempts,
            pairing_phone="",
            pairing_error="failed" if failed else "",
            note="pairing_failed" if failed else "",
            detail=event.detail,
            **NO_CODES,
        )
        link.retry_at = time.monotonic() + (policy.backoff(attempts) if failed else 0)
        return
    asked_again = not await context.write(
        only_if=Q(pairing_requested_at=row.pairing_requested_at, wanted=Wanted.LINKED),
        status=Status.FAILED if failed else Status.IDLE,
        wanted=Wanted.STOPPED,
        attempts=0,
        pairing_phone="",
        last_error=event.detail if failed else "",
        note="pairing_given_up" if failed else "pairing_ended",
        detail=event.detail,
        **NO_CODES,
    )
    if asked_again:
        context.row_changed = True
    else:
        await context.release()


async def on_connected(context: SessionContext, link: Link, event: events.Connected) -> None:
    now = timezone.now()
    changes: dict[str, Any] = {
        "phone": event.phone,
        "jid": event.jid,
        "lid": event.lid or "",
        "push_name": event.push_name[:255],
    }
    new = not context.row.is_linked
    if new:
        # First the copy of the key store, then the row that calls the salon linked: without the copy the
        # link would be lost with this machine.
        await link.copy()
        changes.update(NO_CODES, pairing_error="", pairing_phone="", paired_at=now, stable_at=None)
        metrics.PAIRINGS.inc()
    elif context.row.paired_at and now - context.row.paired_at < SETTLING:
        await link.copy()  # the key store is complete now, the one of the scan was not
    if context.connected_since is None:
        context.connected_since = time.monotonic()
    await context.write(
        status=Status.CONNECTED,
        connected_at=now,
        last_seen_at=now,
        last_error="",
        trouble="",
        banned_until=None,
        note="linked" if new else "connected",
        **changes,
    )
    link.sender.on_connected()


async def on_disconnected(context: SessionContext, link: Link, event: events.Disconnected) -> None:
    """The library comes back by itself at once. A line that breaks before it is stable counts as a failure,
    and after some of them the library's haste ends: the pool decides when the next connection is made."""
    since, context.connected_since = context.connected_since, None
    row = context.row
    if not row.is_linked:
        return
    early = since is not None and time.monotonic() - since < policy.STABLE_AFTER
    if early and row.attempts >= policy.QUICK_RETURNS_MOST:
        await link.off_line()
        await link.try_later(f"{events.BREAKS_AGAIN}: {event.reason}", Trouble.UNSTABLE)
        return
    await context.write(
        status=Status.RECONNECTING,
        attempts=row.attempts + early,
        last_error=event.reason,
        trouble=Trouble.NETWORK,
        last_seen_at=timezone.now(),
        note="disconnected",
        detail=event.reason,
    )


async def on_connect_failed(context: SessionContext, link: Link, event: events.ConnectFailed) -> None:
    context.connected_since = None
    await link.sender.line_gone(event.reason)
    if event.permanent:
        await link.rest(status=Status.FAILED, note="failed", error=event.reason, trouble=Trouble.REFUSED)
    else:
        await link.try_later(event.reason, troubles.of_failure(event.reason))


async def on_logged_out(context: SessionContext, link: Link, event: events.LoggedOut) -> None:
    row = context.row
    young = row.paired_at is not None and timezone.now() - row.paired_at < EARLY
    early = not row.is_linked or (row.stable_at is None and young)
    await link.lose_device(
        note="link_died_early" if early else "logged_out",
        detail=event.reason,
        trouble=troubles.of_logout(event.reason, early=early),
    )


async def on_replaced(context: SessionContext, link: Link, _event: events.Replaced) -> None:
    await link.rest(
        status=Status.CONFLICT,
        note="replaced",
        error="another connection of the same device took over",
        trouble=Trouble.REPLACED,
    )


async def on_banned(context: SessionContext, link: Link, event: events.Banned) -> None:
    seconds = event.expires_in or BAN_OF_UNKNOWN_LENGTH
    until = timezone.now() + timedelta(seconds=seconds)
    await link.rest(
        status=Status.BANNED,
        note="banned",
        error=f"banned by WhatsApp: {event.reason}",
        detail=f"code {event.code}, {seconds:.0f} s",
        trouble=Trouble.BANNED,
        banned_until=until,
        next_attempt_at=until,
    )


async def on_outdated(context: SessionContext, link: Link, _event: events.ClientOutdated) -> None:
    context.log.error("WhatsApp refuses this version of the library: update neonize")
    await link.rest(
        status=Status.FAILED,
        note="client_outdated",
        error="WhatsApp refuses this version of the library",
        trouble=Trouble.OUTDATED,
    )


async def on_keepalive_timeout(context: SessionContext, link: Link, _event: events.KeepAliveTimeout) -> None:
    if context.row.status == Status.CONNECTED:
        await context.write(
            status=Status.RECONNECTING,
            last_error="WhatsApp does not answer",
            trouble=Trouble.SILENT,
            note="line_silent",
        )


async def on_keepalive_restored(
    context: SessionContext, link: Link, _event: events.KeepAliveRestored
) -> None:
    if context.row.status == Status.RECONNECTING and context.connected_since is not None:
        await context.write(
            status=Status.CONNECTED,
            last_error="",
            trouble="",
            last_seen_at=timezone.now(),
            note="line_restored",
        )


async def on_stopped(context: SessionContext, link: Link, _event: events.Stopped) -> None:
    """Expected after a failure that has set the next step; otherwise the engine let go: start again."""
    if link.retry_at is None and not context.engine.owns(context.session):
        context.connected_since = None
        await link.sender.line_gone("the engine stopped the session")
        await link.try_later("the engine stopped the session")


HANDLERS: dict[type[Any], Callable[[SessionContext, Link, Any], Awaitable[None]]] = {
    events.QrCode: on_qr,
    events.PairingCode: on_pairing_code,
    events.PairingCodeFailed: on_pairing_code_failed,
    events.PairingEnded: on_pairing_ended,
    events.Connected: on_connected,
    events.Disconnected: on_disconnected,
    events.ConnectFailed: on_connect_failed,
    events.LoggedOut: on_logged_out,
    events.Replaced: on_replaced,
    events.Banned: on_banned,
    events.ClientOutdated: on_outdated,
    events.KeepAliveTimeout: on_keepalive_timeout,
    events.KeepAliveRestored: on_keepalive_restored,
    events.Stopped: on_stopped,
}
