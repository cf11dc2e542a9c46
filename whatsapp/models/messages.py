"""Messages, what is known of numbers, and how fast a session may send.

The row is the queue: a message waits as `queued` until the pool that holds its session claims it.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from whatsapp.crypto.encryption import EncryptedTextField


class Message(models.Model):
    """One text to or from a person, from the request to the two blue ticks."""

    class Direction(models.TextChoices):
        OUT = "out", _("to the client")
        IN = "in", _("from the client")

    class Source(models.TextChoices):
        OPERATOR = "operator", _("YClients notification")
        BOOKING = "booking", _("booking")
        REMINDER = "reminder", _("reminder")
        WELCOME = "welcome", _("welcome")
        TEST = "test", _("test")
        SUPPORT = "support", _("support")
        INBOUND = "inbound", _("client")
        OPTOUT = "optout", _("answer to an opt-out")
        API = "api", _("API")
        CABINET = "cabinet", _("salon's cabinet")

    class Category(models.TextChoices):
        SERVICE = "service", _("service")
        ADDS = "adds", _("advertising")

    class Status(models.TextChoices):
        QUEUED = "queued", _("waiting")
        SENDING = "sending", _("being sent")
        SENT = "sent", _("sent")  # WhatsApp's server has acknowledged it
        DELIVERED = "delivered", _("delivered")
        READ = "read", _("read")
        FAILED = "failed", _("failed")
        EXPIRED = "expired", _("too late")
        UNKNOWN = "unknown", _("outcome unknown")
        RECEIVED = "received", _("received")

    class CallbackState(models.TextChoices):
        NONE = "none", _("nobody asked")
        DUE = "due", _("to be told")
        DONE = "done", _("told")
        DEAD = "dead", _("given up")

    # Every index below that begins with the session serves it; one of its own would only cost.
    session = models.ForeignKey(
        "whatsapp.Session", on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    direction = models.CharField(max_length=3, choices=Direction.choices, default=Direction.OUT)
    source = models.CharField(max_length=16, choices=Source.choices)
    # The sender's own name of the message: the same one is never taken twice.
    external_id = models.CharField(max_length=128, null=True, blank=True)  # noqa: DJ001  NULL is never equal
    category = models.CharField(max_length=8, choices=Category.choices, default=Category.SERVICE)
    phone = models.CharField(max_length=20, blank=True, help_text=_("digits only"))
    lid = models.CharField(max_length=64, blank=True)
    text = models.TextField(blank=True)
    note = models.CharField(max_length=64, blank=True, help_text=_("what is not text, such as image"))
    # The text is its caption then. Several messages may have the same file.
    media = models.ForeignKey(
        "whatsapp.MediaFile", on_delete=models.SET_NULL, null=True, blank=True, db_index=False,
        related_name="messages",
    )  # fmt: skip

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    # Service messages go before advertising.
    priority = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    # Grows with each claim; an answer of WhatsApp that names an older attempt is not taken for a newer one.
    attempts = models.PositiveIntegerField(default=0)
    failures = models.PositiveSmallIntegerField(default=0, help_text=_("refusals by WhatsApp"))
    unknowns = models.PositiveSmallIntegerField(default=0, help_text=_("times its outcome was not known"))
    error_code = models.CharField(max_length=32, blank=True, help_text=_("machine word"))
    error = models.CharField(max_length=300, blank=True)
    wa_message_id = models.CharField(max_length=64, blank=True)

    # Who asked is told of each status. For a message from a client: it is still to be acted on.
    callback_url = EncryptedTextField(blank=True, default="")
    callback_state = models.CharField(max_length=8, choices=CallbackState.choices, default=CallbackState.NONE)
    reported = models.PositiveSmallIntegerField(default=0, help_text=_("flags of what was told"))
    callback_next_at = models.DateTimeField(null=True, blank=True)
    callback_attempts = models.PositiveIntegerField(default=0)
    callback_error = models.CharField(max_length=300, blank=True)

    created_at = models.DateTimeField(default=timezone.now)
    sending_at = models.DateTimeField(null=True, blank=True, help_text=_("last handed to WhatsApp"))
    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True, help_text=_("failed, expired or unknown"))
    pruned_at = models.DateTimeField(null=True, blank=True, help_text=_("text and phone were removed"))

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [
            models.CheckConstraint(
                condition=(
                    Q(
                        direction="out",
                        status__in=[
                            "queued",
                            "sending",
                            "sent",
                            "delivered",
                            "read",
                            "failed",
                            "expired",
                            "unknown",
                        ],
                    )
                    | Q(direction="in", status="received")
                ),
                name="message_status_known",
            ),
            models.CheckConstraint(
                condition=Q(category="service", priority=0) | Q(category="adds", priority=10),
                name="message_priority_of_category",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["sent", "delivered", "read"]) | ~Q(wa_message_id=""),
                name="message_sent_has_id",
            ),
            models.CheckConstraint(
                condition=Q(callback_state__in=["none", "due", "done", "dead"]),
                name="message_callback_known",
            ),
            models.UniqueConstraint(
                fields=["session", "source", "external_id"], name="message_once_per_external_id"
            ),
            models.UniqueConstraint(
                fields=["session", "wa_message_id"],
                condition=Q(direction="in"),
                name="message_received_once",
            ),
            # One in flight for each session, whatever goes wrong.
            models.UniqueConstraint(
                fields=["session"], condition=Q(status="sending"), name="message_one_in_flight"
            ),
        ]
        indexes = [
            # The sender's next message, and the pool's question who has one.
            models.Index(
                fields=["session", "priority", "not_before", "id"],
                condition=Q(status="queued"),
                name="message_queue",
            ),
            models.Index(fields=["expires_at"], condition=Q(status="queued"), name="message_expiry"),
            models.Index(fields=["callback_next_at"], condition=Q(callback_state="due"), name="message_due"),
            # Receipts name the message by this alone.
            models.Index(fields=["wa_message_id"], condition=~Q(wa_message_id=""), name="message_by_wa_id"),
            # The day's count for the daily cap; without what waits, so that a new row costs nothing here.
            models.Index(
                fields=["session", "sending_at"],
                condition=Q(sending_at__isnull=False),
                name="message_sending_at",
            ),
            models.Index(fields=["phone", "-id"], name="message_by_phone"),
            # What a client wrote whose phone is hidden; few rows.
            models.Index(fields=["lid", "-id"], condition=Q(phone="") & ~Q(lid=""), name="message_by_lid"),
            models.Index(fields=["session", "-id"], name="message_by_session"),
            models.Index(fields=["created_at"], name="message_by_age"),
            models.Index(fields=["media"], condition=Q(media__isnull=False), name="message_by_media"),
            # Support staff's lists and counts of what is seldom and matters.
            models.Index(
                fields=["status", "-id"],
                condition=Q(status__in=["failed", "expired", "unknown"]),
                name="message_not_arrived",
            ),
            models.Index(fields=["-id"], condition=Q(callback_state="dead"), name="message_callback_dead"),
            models.Index(
                fields=["source", "-id"],
                condition=Q(
                    source__in=["booking", "reminder", "welcome", "test", "support", "optout", "cabinet"]
                ),
                name="message_of_own_source",
            ),
            models.Index(fields=["-id"], condition=Q(category="adds"), name="message_adds"),
            # The search by a phone's last digits; a range of reversed ones needs no operator class.
            models.Index(Reverse("phone"), name="message_by_phone_end"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def is_waiting(self) -> bool:
        return self.status in (self.Status.QUEUED, self.Status.SENDING)


class KnownNumber(models.Model):
    """What WhatsApp has said of a phone number, good for a day."""

    phone = models.CharField(max_length=20, unique=True, help_text=_("digits only"))
    on_whatsapp = models.BooleanField()
    jid = models.CharField(max_length=64, blank=True)
    lid = models.CharField(max_length=64, blank=True)
    checked_at = models.DateTimeField()

    class Meta:
        verbose_name = _("known number")
        verbose_name_plural = _("known numbers")
        indexes = [
            models.Index(fields=["lid"], condition=~Q(lid=""), name="number_by_lid"),
            models.Index(fields=["checked_at"], name="number_by_age"),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class SendingLimits(models.Model):
    """How fast one session sends; what is empty follows the policy, which spares new numbers."""

    session = models.OneToOneField("whatsapp.Session", on_delete=models.CASCADE, related_name="limits")
    paced = models.BooleanField(default=True, help_text=_("off: as fast as WhatsApp takes them"))
    gap_seconds = models.FloatField(null=True, blank=True, help_text=_("mean pause between two messages"))
    jitter = models.FloatField(
        null=True, blank=True, help_text=_("0.3: pauses vary by up to 30 percent either way")
    )
    burst = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text=_("messages that may follow at once after a quiet time")
    )
    daily_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("messages a day; 0: any number")
    )
    timezone_name = models.CharField(max_length=64, blank=True, help_text=_("such as Europe/Moscow"))
    adds_from = models.TimeField(null=True, blank=True, help_text=_("advertising not before, local time"))
    adds_until = models.TimeField(null=True, blank=True, help_text=_("advertising not after, local time"))

    class Meta:
        verbose_name = verbose_name_plural = _("sending limits")
        constraints = [
            models.CheckConstraint(
                condition=Q(gap_seconds__isnull=True) | Q(gap_seconds__gte=0), name="limits_gap_positive"
            ),
            models.CheckConstraint(
                condition=Q(jitter__isnull=True) | Q(jitter__gte=0, jitter__lte=1), name="limits_jitter_range"
            ),
            models.CheckConstraint(
                condition=Q(burst__isnull=True) | Q(burst__gte=1), name="limits_burst_positive"
            ),
        ]

    def __str__(self) -> str:
        return str(self.session_id)
