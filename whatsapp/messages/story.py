"""What became of a message, in words for support staff and the salon."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from whatsapp.models import Message

Status, Direction = Message.Status, Message.Direction

# The machine words of `Message.error_code`.
CAUSES = {
    "not_on_whatsapp": gettext_lazy("The number has no WhatsApp."),
    "session_unlinked": gettext_lazy("The salon had no linked device."),
    "expired": gettext_lazy("It could not be sent before it was too late."),
    "refused": gettext_lazy("WhatsApp refused it."),
    "not_connected": gettext_lazy("The line was down when it was to be sent."),
    "unknown_outcome": gettext_lazy(
        "Nobody can say whether it went out: the line ended while it was being sent."
    ),
    "upload_failed": gettext_lazy("WhatsApp did not take its file."),
    "file_unavailable": gettext_lazy("Its file could not be read."),
    "withdrawn": gettext_lazy("Support staff withdrew it."),
    "opted_out": gettext_lazy("The client wants no such messages."),
    "bad_phone": gettext_lazy("The phone is no number."),
}


# What `Message.note` says of a client's message that is not plain text.
NOTES = {
    "image": gettext_lazy("a picture"),
    "video": gettext_lazy("a video"),
    "audio": gettext_lazy("a sound"),
    "voice": gettext_lazy("a voice message"),
    "document": gettext_lazy("a document"),
    "sticker": gettext_lazy("a sticker"),
    "location": gettext_lazy("a place on the map"),
    "liveLocation": gettext_lazy("a place that moves on the map"),
    "contact": gettext_lazy("a contact"),
    "contactsArray": gettext_lazy("contacts"),
    "reaction": gettext_lazy("a reaction"),
}


def note_words(note: str) -> str:
    """What a client sent instead of a text, in words; a kind that has none is named as WhatsApp names it."""
    return str(NOTES.get(note, note))


def cause(message: Message) -> str:
    """Why the message did not arrive, or what went wrong on the way; empty when nothing did."""
    if not message.error_code:
        return ""
    return str(CAUSES.get(message.error_code, message.error_code))


def waits_for(message: Message) -> str:
    """What a message that has not gone out waits for; empty for one that waits no more. Reads the session."""
    if message.status == Status.SENDING:
        return _("WhatsApp's acknowledgement.")
    if message.status != Status.QUEUED:
        return ""
    session = message.session
    if message.not_before > timezone.now():
        return _("Its time, which has not come.")
    if session.sending_paused:
        return _("Sending is paused: by the salon, or until it pays.")
    if session.wanted == session.Wanted.STOPPED:
        return _("The session, which was stopped on purpose.")
    if not session.is_connected:
        return _("The line: the session's status is “%(status)s”.") % {"status": session.get_status_display()}
    return _("Its turn: messages go out at a pace that does not get the number banned.")


def steps(message: Message) -> Iterator[tuple[datetime, str]]:
    """What happened to the message and when, in order; what is still to come last."""
    return iter(sorted(_steps(message), key=lambda step: step[0]))


def _steps(message: Message) -> Iterator[tuple[datetime, str]]:
    inbound = message.direction == Direction.IN
    yield message.created_at, _("kept by us") if inbound else _("taken")
    if message.not_before - message.created_at > timedelta(seconds=1):
        yield message.not_before, _("may be sent from then on")
    if message.expires_at and message.is_waiting:
        yield message.expires_at, _("will be too late from then on")
    if message.sending_at:
        yield message.sending_at, _("handed to WhatsApp, attempt %(number)d") % {"number": message.attempts}
    if message.sent_at:
        yield message.sent_at, _("written by the client") if inbound else _("taken by WhatsApp's server")
    if message.delivered_at:
        yield message.delivered_at, _("reached the client's phone")
    if message.read_at:
        yield message.read_at, _("read by the client")
    if message.finished_at:
        ended = f"{message.get_status_display()}. {cause(message)}".strip()
        yield message.finished_at, ended
    if message.pruned_at:
        yield message.pruned_at, _("text and phone removed, as their time was over")
