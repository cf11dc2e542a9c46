"""Conversations: clients who have written to a session's number, for a list of them with what is unread.

A salon sends far more than its clients write. To find its latest conversations among its messages would mean
to read past all that was sent meanwhile; so there is a row for each client who has written.
"""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Conversation(models.Model):
    """One client of one session, known by his phone, or by his LID while WhatsApp hides the phone."""

    session = models.ForeignKey("whatsapp.Session", on_delete=models.CASCADE, related_name="conversations")
    phone = models.CharField(max_length=20, blank=True, help_text=_("digits only"))
    lid = models.CharField(max_length=64, blank=True, help_text=_("only while the phone is not known"))
    # What the client wrote last, or was answered. Notifications do not count: they would bury the answers.
    last_message = models.ForeignKey("whatsapp.Message", on_delete=models.CASCADE, related_name="+")
    last_received = models.PositiveBigIntegerField(help_text=_("number of the client's last message"))
    last_at = models.DateTimeField()
    unread = models.PositiveIntegerField(default=0)
    read_at = models.DateTimeField(null=True, blank=True, help_text=_("last opened in the salon's cabinet"))

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        constraints = [
            models.UniqueConstraint(
                fields=["session", "phone"], condition=~Q(phone=""), name="conversation_once_per_phone"
            ),
            models.UniqueConstraint(
                fields=["session", "lid"], condition=Q(phone=""), name="conversation_once_per_lid"
            ),
            models.CheckConstraint(condition=~Q(phone="", lid=""), name="conversation_has_phone_or_lid"),
        ]
        indexes = [
            # The list, the latest first.
            models.Index(fields=["session", "-last_message"], name="conversation_list"),
            # How many wait for the salon.
            models.Index(fields=["session"], condition=Q(unread__gt=0), name="conversation_unread"),
            # What is forgotten with time, and what one client has anywhere.
            models.Index(fields=["last_at"], name="conversation_by_age"),
            models.Index(fields=["phone"], name="conversation_by_phone"),
        ]

    def __str__(self) -> str:
        return str(self.pk)
