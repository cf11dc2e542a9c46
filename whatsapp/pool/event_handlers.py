"""What each event of the engine leads to: one short function an event."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.utils import timezone

from whatsapp import metrics
from whatsapp.engine import events
from whatsapp.models import Session, Trouble
from whatsapp.sessions import policy, services, troubles
from whatsapp.sessions.policy import BAN_OF_UNKNOWN_LENGTH, NO_CODES, PAIRING_FAILURES_MOST

if TYPE_CHECKING:
    from whatsapp.pool.runner import SessionRunner

SETTLING = timedelta(minutes=2)
EARLY = timedelta(minutes=15)  # a device that is removed so soon, and before it was stable, never worked
Status, Wanted = Session.Status, Session.Wanted


async def react(runner: SessionRunner, event: events.SessionEvent) -> None:
    """Do what the event calls for; what concerns messages alone is the sender's."""
    reaction = REACTIONS.get(type(event))
    if reaction:
        runner.lease.host = runner.engine.host_of(runner.session) or runner.lease.host
        await reaction(runner, event)
    else:
        await runner.sender.hear(event)


async def on_qr(runner: SessionRunner, event: events.QrCode) -> None:
    row = runner.row
    if not row.qr:
        metrics.FIRST_QR_SECONDS.observe(time.monotonic() - runner.pairing_started)
    code_is_shown = row.status == Status.PAIRING_CODE and row.pairing_code
    await runner.write(
        status=Status.PAIRING_CODE if code_is_shown else Status.QR,
        qr=event.text,
        qr_expires_at=timezone.now() + timedelta(seconds=event.lifetime),
    )
    if row.pairing_phone and not runner.code_asked:
        await runner.ask_for_code()


async def on_pairing_code(runner: SessionRunner, event: events.PairingCode) -> None:
    await runner.write(
        status=Status.PAIRING_CODE,
        pairing_code=event.code,
        pairing_code_expires_at=timezone.now() + timedelta(seconds=event.lifetime),
        pairing_error="",
    )


async def on_pairing_code_failed(runner: SessionRunner, event: events.PairingCodeFailed) -> None:
    await runner.write(
        status=Status.QR,
        pairing_code="",
        pairing_code_expires_at=None,
        pairing_error=event.code,
        note="pairing_code_failed",
        detail=event.message,
    )


async def on_pairing_ended(runner: SessionRunner, event: events.PairingEnded) -> None:
    await runner.load()
    row, failed = runner.row, event.reason == "error"
    attempts = row.attempts + 1 if failed else 0
    if services.is_viewed(session=row) and attempts <= PAIRING_FAILURES_MOST:
        # Somebody waits at the page: the next code comes by itself.
        await runner.write(
            attempts=attempts,
            pairing_phone="",
            pairing_error="failed" if failed else "",
            note="pairing_failed" if failed else "",
            detail=event.detail,
            **NO_CODES,
        )
        runner.retry_at = time.monotonic() + (policy.backoff(attempts) if failed else 0)
        return
    asked_again = not await runner.write(
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
        runner.row_changed()
    else:
        await runner.give_back()


async def on_connected(runner: SessionRunner, event: events.Connected) -> None:
    now = timezone.now()
    changes: dict[str, Any] = {
        "phone": event.phone,
        "jid": event.jid,
        "lid": event.lid or "",
        "push_name": event.push_name[:255],
    }
    new = not runner.row.is_linked
    if new:
        # First the key store, then the word that the salon is linked: the word alone would die with
        # this machine.
        await runner.copy()
        changes.update(NO_CODES, pairing_error="", pairing_phone="", paired_at=now, stable_at=None)
        metrics.PAIRINGS.inc()
    elif runner.row.paired_at and now - runner.row.paired_at < SETTLING:
        await runner.copy()  # the key store is complete now, the one of the scan was not
    if runner.connected_since is None:
        runner.connected_since = time.monotonic()
    await runner.write(
        status=Status.CONNECTED,
        connected_at=now,
        last_seen_at=now,
        last_error="",
        trouble="",
        banned_until=None,
        note="linked" if new else "connected",
        **changes,
    )
    runner.sender.line_up()


async def on_disconnected(runner: SessionRunner, event: events.Disconnected) -> None:
    """The library comes back by itself at once. A line that breaks before it is stable counts as a failure,
    and after some of them the library's haste ends: the pool decides when the next connection is made."""
    since, runner.connected_since = runner.connected_since, None
    row = runner.row
    if not row.is_linked:
        return
    early = since is not None and time.monotonic() - since < policy.STABLE_AFTER
    if early and row.attempts >= policy.QUICK_RETURNS_MOST:
        await runner.off_line()
        await runner.try_later(f"{events.BREAKS_AGAIN}: {event.reason}", Trouble.UNSTABLE)
        return
    await runner.write(
        status=Status.RECONNECTING,
        attempts=row.attempts + early,
        last_error=event.reason,
        trouble=Trouble.NETWORK,
        last_seen_at=timezone.now(),
        note="disconnected",
        detail=event.reason,
    )


async def on_connect_failed(runner: SessionRunner, event: events.ConnectFailed) -> None:
    runner.connected_since = None
    await runner.sender.line_gone(event.reason)
    if event.permanent:
        await runner.rest(status=Status.FAILED, note="failed", error=event.reason, trouble=Trouble.REFUSED)
    else:
        await runner.try_later(event.reason, troubles.of_failure(event.reason))


async def on_logged_out(runner: SessionRunner, event: events.LoggedOut) -> None:
    row = runner.row
    young = row.paired_at is not None and timezone.now() - row.paired_at < EARLY
    early = not row.is_linked or (row.stable_at is None and young)
    await runner.lose_device(
        note="link_died_early" if early else "logged_out",
        detail=event.reason,
        trouble=troubles.of_logout(event.reason, early=early),
    )


async def on_replaced(runner: SessionRunner, _event: events.Replaced) -> None:
    await runner.rest(
        status=Status.CONFLICT,
        note="replaced",
        error="another connection of the same device took over",
        trouble=Trouble.REPLACED,
    )


async def on_banned(runner: SessionRunner, event: events.Banned) -> None:
    seconds = event.expires_in or BAN_OF_UNKNOWN_LENGTH
    until = timezone.now() + timedelta(seconds=seconds)
    await runner.rest(
        status=Status.BANNED,
        note="banned",
        error=f"banned by WhatsApp: {event.reason}",
        detail=f"code {event.code}, {seconds:.0f} s",
        trouble=Trouble.BANNED,
        banned_until=until,
        next_attempt_at=until,
    )


async def on_outdated(runner: SessionRunner, _event: events.ClientOutdated) -> None:
    runner.log.error("WhatsApp refuses this version of the library: update neonize")
    await runner.rest(
        status=Status.FAILED,
        note="client_outdated",
        error="WhatsApp refuses this version of the library",
        trouble=Trouble.OUTDATED,
    )


async def on_keepalive_timeout(runner: SessionRunner, _event: events.KeepAliveTimeout) -> None:
    if runner.row.status == Status.CONNECTED:
        await runner.write(
            status=Status.RECONNECTING,
            last_error="WhatsApp does not answer",
            trouble=Trouble.SILENT,
            note="line_silent",
        )


async def on_keepalive_restored(runner: SessionRunner, _event: events.KeepAliveRestored) -> None:
    if runner.row.status == Status.RECONNECTING and runner.connected_since is not None:
        await runner.write(
            status=Status.CONNECTED,
            last_error="",
            trouble="",
            last_seen_at=timezone.now(),
            note="line_restored",
        )


async def on_stopped(runner: SessionRunner, _event: events.Stopped) -> None:
    """Expected after a failure that has set the next step; otherwise the engine let go: start again."""
    if runner.retry_at is None and not runner.engine.owns(runner.session):
        runner.connected_since = None
        await runner.sender.line_gone("the engine stopped the session")
        await runner.try_later("the engine stopped the session")


REACTIONS: dict[type[Any], Callable[[Any, Any], Awaitable[None]]] = {
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
