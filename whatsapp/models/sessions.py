"""Linked devices: what is wanted of each, what is so, and who is at work on it.

`wanted` and the `*_requested_at` columns are written by services; the pool makes them so and writes the
rest, every write of the pool carrying its lease token.
"""

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from whatsapp.crypto.encryption import EncryptedTextField
from whatsapp.models.troubles import Trouble

BUMP = F("version") + 1


class Session(models.Model):
    """One WhatsApp account linked as a companion device."""

    class Wanted(models.TextChoices):
        STOPPED = "stopped", _("stopped")
        LINKED = "linked", _("linked")
        UNLINKED = "unlinked", _("unlinked")

    class Status(models.TextChoices):
        IDLE = "idle", _("idle")
        STARTING = "starting", _("starting")
        QR = "qr", _("waiting for a scan")
        PAIRING_CODE = "pairing_code", _("waiting for the pairing code")
        CONNECTING = "connecting", _("connecting")
        CONNECTED = "connected", _("connected")
        RECONNECTING = "reconnecting", _("reconnecting")
        CONFLICT = "conflict", _("replaced elsewhere")
        BANNED = "banned", _("banned by WhatsApp")
        LOGGED_OUT = "logged_out", _("logged out")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    wanted = models.CharField(max_length=16, choices=Wanted.choices, default=Wanted.STOPPED)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.IDLE)
    # Changes with every change of the row that a page shows; a page never goes back to a lower one.
    version = models.PositiveBigIntegerField(default=0)

    phone = models.CharField(max_length=20, blank=True, help_text=_("digits only, as in the JID"))
    jid = models.CharField(max_length=64, blank=True, help_text=_("empty while no device is linked"))
    lid = models.CharField(max_length=64, blank=True)
    push_name = models.CharField(max_length=255, blank=True)

    qr = EncryptedTextField(blank=True, default="")
    qr_expires_at = models.DateTimeField(null=True, blank=True)
    pairing_code = EncryptedTextField(blank=True, default="")
    pairing_code_expires_at = models.DateTimeField(null=True, blank=True)
    pairing_error = models.CharField(
        max_length=64, blank=True, help_text=_("machine word of the last failure")
    )

    # Requests to the pool: done when the matching `*_done_at` is not older.
    pairing_requested_at = models.DateTimeField(null=True, blank=True)
    pairing_phone = models.CharField(max_length=20, blank=True, help_text=_("asked for a pairing code"))
    pairing_done_at = models.DateTimeField(null=True, blank=True)
    restart_requested_at = models.DateTimeField(null=True, blank=True)
    restart_done_at = models.DateTimeField(null=True, blank=True)
    viewed_at = models.DateTimeField(null=True, blank=True, help_text=_("a page last asked for its state"))
    sending_paused = models.BooleanField(default=False, help_text=_("messages wait, the line stays up"))

    lease_owner = models.CharField(max_length=64, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    # Grows by one with each claim; a write with an older token changes nothing.
    lease_token = models.PositiveBigIntegerField(default=0)

    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)
    trouble = models.CharField(
        max_length=16, choices=Trouble.choices, blank=True, help_text=_("stays until the link is up again")
    )
    banned_until = models.DateTimeField(null=True, blank=True)

    paired_at = models.DateTimeField(null=True, blank=True)
    connected_at = models.DateTimeField(null=True, blank=True)
    stable_at = models.DateTimeField(
        null=True, blank=True, help_text=_("when the linked device first stood for a minute")
    )
    last_seen_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("WhatsApp session")
        verbose_name_plural = _("WhatsApp sessions")
        constraints = [
            models.CheckConstraint(
                condition=Q(wanted__in=["stopped", "linked", "unlinked"]), name="session_wanted_known"
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        "idle",
                        "starting",
                        "qr",
                        "pairing_code",
                        "connecting",
                        "connected",
                        "reconnecting",
                        "conflict",
                        "banned",
                        "logged_out",
                        "failed",
                    ]
                ),
                name="session_status_known",
            ),
            models.CheckConstraint(
                condition=~Q(status="connected") | ~Q(jid=""), name="session_connected_has_jid"
            ),
        ]
        indexes = [
            # The pools' claim: wanted sessions, those without a living lease first.
            models.Index(fields=["wanted", "lease_expires_at"], name="session_claim"),
            models.Index(fields=["lease_owner"], name="session_by_owner"),
            # The worker's search for salons whose phone is connected.
            models.Index(fields=["status"], name="session_by_status"),
            models.Index(fields=["phone"], name="session_by_phone"),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_linked(self) -> bool:
        """A device is linked, whether its line is up at this moment or not."""
        return bool(self.jid)

    @property
    def is_connected(self) -> bool:
        return self.status == self.Status.CONNECTED

    @property
    def lease_is_alive(self) -> bool:
        return bool(self.lease_owner and self.lease_expires_at and self.lease_expires_at > timezone.now())


class SessionEvent(models.Model):
    """What happened to a session, when, why, and which pool saw it; append-only, for support staff."""

    class Kind(models.TextChoices):
        LINKED = "linked", _("phone linked")
        CONNECTED = "connected", _("connected")
        STABLE = "stable", _("link stands firm")
        DISCONNECTED = "disconnected", _("connection broke")
        CONNECT_FAILED = "connect_failed", _("could not connect")
        FAILED = "failed", _("WhatsApp refused the device")
        BANNED = "banned", _("WhatsApp restricted the number")
        REPLACED = "replaced", _("another program took over the device")
        LOGGED_OUT = "logged_out", _("the device was removed on the phone")
        LINK_DIED_EARLY = "link_died_early", _("the link died right after it was made")
        CLIENT_OUTDATED = "client_outdated", _("WhatsApp refuses our version")
        LINE_SILENT = "line_silent", _("WhatsApp does not answer on the open line")
        LINE_RESTORED = "line_restored", _("WhatsApp answers again")
        PAIRING_CODE_FAILED = "pairing_code_failed", _("no pairing code was given")
        PAIRING_FAILED = "pairing_failed", _("linking failed")
        PAIRING_ENDED = "pairing_ended", _("linking ended, nobody scanned")
        PAIRING_GIVEN_UP = "pairing_given_up", _("linking given up")
        CREDENTIALS_UNUSABLE = "credentials_unusable", _("the device's keys are lost or cannot be read")
        CREDENTIALS_OLDER = "credentials_older", _("the copy of the keys is older")
        CREDENTIALS_RESTORED = "credentials_restored", _("keys restored from the copy")
        COPY_FAILED = "copy_failed", _("no copy of the keys could be made")
        FAULT = "fault", _("unforeseen error")
        STOPPED = "stopped", _("session stopped")
        POOL_STOPPED = "pool_stopped", _("the pool was stopped")
        UNLINKED = "unlinked", _("the device was unlinked by us")
        UNLINK_FAILED = "unlink_failed", _("unlinking failed, it is tried again")
        STOP_REQUESTED = "stop_requested", _("stop asked for")
        RESUME_REQUESTED = "resume_requested", _("resuming asked for")
        RESTART_REQUESTED = "restart_requested", _("restart asked for")
        UNLINK_REQUESTED = "unlink_requested", _("unlinking asked for")
        SENDING_PAUSED = "sending_paused", _("sending paused")
        SENDING_RESUMED = "sending_resumed", _("sending resumed")
        LIMITS_CHANGED = "limits_changed", _("sending limits changed")

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="events")
    kind = models.CharField(max_length=32)
    detail = models.CharField(max_length=500, blank=True)
    pool = models.CharField(max_length=64, blank=True)
    host = models.CharField(max_length=64, blank=True, help_text=_("engine host that last held the session"))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("session event")
        verbose_name_plural = _("session history")
        ordering = ["-id"]
        indexes = [models.Index(fields=["session", "-id"], name="session_event_history")]

    def __str__(self) -> str:
        return f"{self.words} {str(self.session_id)[:8]}"

    @property
    def words(self) -> str:
        """What happened, for people; the machine word where an older version wrote another one."""
        return str(dict(self.Kind.choices).get(self.kind, self.kind))
