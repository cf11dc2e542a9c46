"""Files of messages, and places on the map that clients send.

The row of a client's file is the queue of what a pool has yet to fetch from WhatsApp.
"""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from whatsapp.crypto.encryption import EncryptedTextField


class MediaFile(models.Model):
    """One file, from or to a client; its bytes lie encrypted in the storage `media`.

    A pinned one has no age: the picture of a text goes with many messages. Whatever removes a file removes
    its key at the same moment.
    """

    class Kind(models.TextChoices):
        IMAGE = "image", _("picture")
        VIDEO = "video", _("video")
        AUDIO = "audio", _("sound")
        VOICE = "voice", _("voice message")
        DOCUMENT = "document", _("document")
        STICKER = "sticker", _("sticker")

    class State(models.TextChoices):
        WAITING = "waiting", _("to be fetched")
        FAILED = "failed", _("to be fetched again")
        KEPT = "kept", _("kept")
        DEAD = "dead", _("not kept")
        REMOVED = "removed", _("removed")

    session = models.ForeignKey("whatsapp.Session", on_delete=models.CASCADE, related_name="media_files")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    # The sender's words, never believed when the file is shown (`media.content_types`).
    mime = models.CharField(max_length=200, blank=True)
    name = EncryptedTextField(blank=True, default="")
    size = models.PositiveBigIntegerField(default=0, help_text=_("bytes"))

    # Where WhatsApp has it and how it is opened: JSON of `engine.events.MediaReference`, until it is fetched.
    reference = EncryptedTextField(blank=True, default="")
    stored_name = models.CharField(max_length=64, blank=True, help_text=_("name in the storage"))
    key = EncryptedTextField(blank=True, default="")

    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    kept_at = models.DateTimeField(null=True, blank=True)
    pinned = models.BooleanField(default=False, help_text=_("not removed with time"))

    class Meta:
        verbose_name = _("file")
        verbose_name_plural = _("files")
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "failed", "kept", "dead", "removed"]),
                name="media_state_known",
            ),
            models.CheckConstraint(
                condition=~Q(state="kept") | (~Q(stored_name="") & ~Q(key="")), name="media_kept_has_key"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(state__in=["waiting", "failed"]),
                name="media_due",
            ),
            models.Index(
                fields=["created_at"], condition=Q(pinned=False) & ~Q(state="removed"), name="media_by_age"
            ),
            models.Index(fields=["stored_name"], condition=~Q(stored_name=""), name="media_by_stored_name"),
            models.Index(fields=["-id"], condition=Q(state="dead"), name="media_dead"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def error_code(self) -> str:
        """The machine word of why it is not kept."""
        return self.last_error.partition(":")[0]


class MessageLocation(models.Model):
    """A place that a client has sent; degrees."""

    message = models.OneToOneField(
        "whatsapp.Message", on_delete=models.CASCADE, primary_key=True, related_name="location"
    )
    latitude = models.FloatField()
    longitude = models.FloatField()
    name = models.CharField(max_length=200, blank=True)
    address = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = _("place")
        verbose_name_plural = _("places")

    def __str__(self) -> str:
        return str(self.pk)

    def as_dict(self) -> dict[str, float | str]:
        """The place as JSON has it."""
        return {
            "latitude": self.latitude,
            "longitude": self.longitude,
            "name": self.name,
            "address": self.address,
        }
