"""The live channel of the onboarding page: the current snapshot on connecting, and after every change."""

import asyncio
import json
import time
import uuid
from collections import deque
from typing import Any

import django.db
import structlog
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.utils import translation

from config.shared.batches import Batches, Overloaded
from config.shared.database import in_thread, on_live_connection, with_kept_connection
from onboarding.linking import page_actions, token_scope, words
from onboarding.linking.page_actions import PageState, SnapshotRequest
from onboarding.linking.token_scope import TokenRevoked
from onboarding.linking.tokens import Registrant
from onboarding.live import admission, events
from onboarding.live.feed import Feed, end
from whatsapp.sessions import code_hints

log = structlog.get_logger("onboarding")

VIEW_INTERVAL = 10.0  # seconds; tells the pool that somebody still looks
GAP = 0.1  # seconds between two readings of the row, however many hints arrive
MAX_MESSAGE = 8 * 1024  # characters
MESSAGES_MOST, MESSAGES_SECONDS = 20, 10.0
FLOOD = 100  # messages in the same time end the connection


def _read_states(requests: list[SnapshotRequest]) -> list[PageState]:
    return on_live_connection(page_actions.read_states, requests)


# Hints come in bursts, after a restart of a pool for all pages at once: their rows are read together.
_states: Batches[SnapshotRequest, PageState] = Batches(
    with_kept_connection(_read_states), name="snapshots", threads=1, largest=64
)


class OnboardingConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # ships no types
    """One open page. It follows one session: that of its token."""

    # No layer of this name exists, so Channels subscribes to nothing: see `feed`.
    channel_layer_alias = "none"
    registrant: Registrant
    language = "ru"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._following: asyncio.Task[None] | None = None
        self._feed: Feed | None = None
        self._shown: PageState | None = None
        self._showing = asyncio.Lock()  # one picture's events after the other's
        self._viewed_at = 0.0
        self._in_trouble = False
        self._arrivals: deque[float] = deque(maxlen=FLOOD)

    # --- connecting and disconnecting ----------------------------------------------------------

    async def connect(self) -> None:
        handshake = admission.read(self.scope)
        self.language = handshake.language
        try:
            self.registrant = await admission.admit(handshake)
        except admission.Refused as error:
            log.info(
                "live channel refused", reason=str(error), close_code=error.code, client=handshake.address
            )
            if handshake.speaks_protocol:
                # A browser hides the answer to a refused handshake; a close code it shows to the page.
                await self.accept(subprotocol=admission.PROTOCOL)
            await self.close(code=error.code)
            return
        await self.accept(subprotocol=admission.PROTOCOL if handshake.speaks_protocol else None)
        self._following = asyncio.create_task(self._follow(), name=f"follow:{self.registrant.session_name}")
        self._following.add_done_callback(self._following_ended)

    async def disconnect(self, code: int) -> None:
        if self._following:
            await end(self._following)

    def _following_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception():
            log.error("live channel failed", exc_info=task.exception())
            self._closing = asyncio.ensure_future(self.close(code=1011))

    # --- server to client ----------------------------------------------------------------------

    async def _follow(self) -> None:
        """Send the picture until the token expires or loses its power."""
        try:
            while token_scope.seconds_until(self.registrant.expires_at) > 0:
                await self._follow_session((await self._load_scope()).session.pk)
        except TokenRevoked as error:
            log.info("live channel closed", salon_id=self.registrant.salon_id, reason=str(error))
        await self.close(code=admission.BAD_TOKEN)

    async def _follow_session(self, session_id: uuid.UUID) -> None:
        """Follow one session: until the token expires, or a new registration gave the salon another one."""
        async with Feed(session_id, self._show_code).listening() as self._feed:
            while (left := token_scope.seconds_until(self.registrant.expires_at)) > 0:
                await self._refresh()
                if self._shown and self._shown.session.pk != session_id:
                    return
                await asyncio.sleep(GAP)
                await self._feed.wait(left)

    async def _load_scope(self) -> token_scope.TokenScope:
        while True:
            try:
                return await in_thread(token_scope.load, self.registrant)
            except django.db.Error as error:
                await self._send_unavailable(error)
                await asyncio.sleep(1)

    async def _refresh(self) -> None:
        """Read the rows; send the picture and its events when it changed. An older picture is not sent."""
        viewed, before = time.monotonic() - self._viewed_at > VIEW_INTERVAL, self._shown
        try:
            state = await _states.submit(SnapshotRequest(self.registrant, viewed, self.language))
        except (django.db.Error, Overloaded) as error:
            await self._send_unavailable(error)
            return
        self._in_trouble = False
        if viewed:
            self._viewed_at = time.monotonic()
        await self._show(state, after=before)
        if state.picture["companyStatus"] == "uninstalled":
            raise TokenRevoked("the salon has removed the application")

    async def _show_code(self, sealed: str) -> bool:
        """Show the code that a hint tells of; False when the rows must be read to know what to show."""
        hint, shown = code_hints.unseal(sealed), self._shown
        if hint is None or shown is None or hint.session_id != shown.session.pk:
            return False
        if hint.version > shown.session.version:
            if not hint.follows(shown.session):
                return False
            await self._show(shown.with_code(hint))
        return True

    async def _show(self, state: PageState, *, after: PageState | None = None) -> None:
        """Send what is new, unless something newer is shown.

        A reading that began `after` a hint was shown, and finds less than the hint said, is right.
        """
        async with self._showing:
            before = self._shown
            contradicted = before is not None and before is after and not before.was_read
            if before and not contradicted and events.is_older(state.picture, than=before.picture):
                return
            self._shown = state
            if before and not events.differ(before.picture, state.picture):
                return
            for event in events.derive(before.picture if before else None, state.picture):
                await self.send_json(event)

    async def _send_unavailable(self, error: Exception) -> None:
        log.warning("database does not answer", error=repr(error))
        if not self._in_trouble:  # once; the page shows it until the next picture
            self._in_trouble = True
            await self._send_error("unavailable")

    async def _send_error(self, code: str, *, event: str = "error", **extra: Any) -> None:
        with translation.override(self.language):
            message = words.problem(code)
        await self.send_json({"event": event, "code": code, "message": message, **extra})

    # --- client to server ----------------------------------------------------------------------

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **_kw: Any
    ) -> None:
        if await self._is_flooded():
            return
        if text_data is None:
            await self._send_error("bad_message")
            return
        if len(text_data) > MAX_MESSAGE:
            await self._send_error("too_large")
            return
        try:
            content = json.loads(text_data)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            await self._send_error("bad_message")
            return
        await self._handle_message(content)

    async def _is_flooded(self) -> bool:
        now = time.monotonic()
        self._arrivals.append(now)
        recent = sum(1 for at in self._arrivals if now - at < MESSAGES_SECONDS)
        if recent >= FLOOD:
            await self.close(code=admission.TOO_MANY)
        elif recent == MESSAGES_MOST + 1:
            await self._send_error("too_many_messages")
        return recent > MESSAGES_MOST

    async def _handle_message(self, content: dict[str, Any]) -> None:
        wanted = content.get("event") or content.get("type")
        if not hasattr(self, "registrant") or wanted not in ("request-qr", "request-pairing-code"):
            await self._send_error("unknown_event")
            return
        # The page waits for a pairing code at the form, so its failures have an event of their own.
        failure = "pairing-code-error" if wanted == "request-pairing-code" else "error"
        try:
            if wanted == "request-qr":
                await in_thread(page_actions.request_qr, self.registrant)
            else:
                await in_thread(
                    page_actions.request_pairing_code, self.registrant, content.get("phoneNumber")
                )
        except page_actions.RequestRejected as error:
            await self._send_error(error.code, event=failure, **error.extra)
        except TokenRevoked:
            await self._send_error("no_power", event=failure)
        except django.db.Error as error:
            log.warning("database does not answer", error=repr(error))
            await self._send_error("unavailable", event=failure)
        if self._feed:
            self._feed.hint()
