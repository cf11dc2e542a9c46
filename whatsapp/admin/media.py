"""Files of messages for support staff: what became of each, opened, fetched again, removed."""

from typing import Any, ClassVar

import structlog
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.urls import path
from django.urls.resolvers import URLPattern
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.operations import OperableAdmin, Operation, Refused
from config.shared.support import Text
from whatsapp.admin.long_lists import LongListAdmin
from whatsapp.media import files, incoming
from whatsapp.media.responses import FileUnavailable, file_response
from whatsapp.models import MediaFile, Message

log = structlog.get_logger("support")
State = MediaFile.State
TONES = {"waiting": "waiting", "failed": "busy", "kept": "good", "dead": "bad", "removed": "off"}
# The machine words of `MediaFile.error_code`.
CAUSES = {
    "too_large": _("It is larger than what is kept."),
    "gone": _("WhatsApp keeps it no more."),
    "quota": _("The salon's files take up all the room they may."),
    "unreachable": _("WhatsApp did not answer."),
    "slow": _("It did not come in time."),
    "wrong_hash": _("What came is not the file of the message."),
    "unreadable": _("The message does not say how to open it."),
    "not_stored": _("The storage did not take it."),
}


def _why_not_fetch(file: MediaFile) -> Text:
    return "" if file.state == State.DEAD else _("It was not given up.")


def _fetch(file: MediaFile, _cause: str) -> None:
    given_up = incoming.FETCHES.given_up().filter(pk=file.pk).exclude(reference="")
    if not incoming.FETCHES.replay(given_up):
        raise Refused(gettext("It was not given up."))


def _why_not_remove(file: MediaFile) -> Text:
    if file.state == State.REMOVED:
        return _("It is removed already.")
    waiting = Message.objects.filter(media=file, status__in=[Message.Status.QUEUED, Message.Status.SENDING])
    return _("A message that waits has it; withdraw that first.") if waiting.exists() else ""


def _remove(file: MediaFile, _cause: str) -> None:
    if not files.remove([file]):
        raise Refused(gettext("It is removed already."))


FETCH = Operation(
    name="fetch",
    label=_("Fetch again"),
    consequence=_("A session pool fetches the file from WhatsApp within seconds, which keeps it for weeks."),
    perform=_fetch,
    refusal=_why_not_fetch,
)
REMOVE = Operation(
    name="remove",
    label=_("Remove file"),
    consequence=_("The file and its key are erased. The message stays. This cannot be undone."),
    perform=_remove,
    refusal=_why_not_remove,
    destructive=True,
)


class MediaFileAdmin(LongListAdmin, OperableAdmin):
    """Every file, from clients and to them."""

    hidden = ("key", "reference", "session__qr", "session__pairing_code")
    operations = (FETCH, REMOVE)
    list_display = ("number", "session_link", "what", "state_word", "cause", "taken")
    list_filter: ClassVar[Any] = (
        ("state", support.titled(_("State"))),
        ("kind", support.titled(_("Kind"))),
        ("created_at", support.titled(_("Taken"), admin.DateFieldListFilter)),
    )
    list_select_related = ("session",)
    search_fields = ("=id",)
    fieldsets = [
        (None, {"fields": [
            "number", "session_link", "messages_of_it", "what", "open_link", "state_word", "cause", "tries",
            "next_try", "taken", "kept_moment", "pinned_word"]}),
    ]  # fmt: skip

    number = support.plain_column("id", _("number"))
    state_word = support.state_column("state", _("state"), TONES)
    tries = support.plain_column("attempts", _("attempts"))
    next_try = support.moment_column("next_attempt_at", _("next attempt"))
    taken = support.moment_column("created_at", _("taken"))
    kept_moment = support.moment_column("kept_at", _("kept since"))

    @admin.display(description=_("session"))
    def session_link(self, file: MediaFile) -> str:
        return support.link(file.session, str(file.session_id)[:8])

    @admin.display(description=_("messages"))
    def messages_of_it(self, file: MediaFile) -> str:
        rows = Message.objects.filter(media=file).only("pk").order_by("-pk")[:20]
        return support.joined(support.link(row, str(row)) for row in rows) or support.NOTHING

    @admin.display(description=_("file"))
    def what(self, file: MediaFile) -> str:
        return f"{file.get_kind_display()}, {filesizeformat(file.size)}"

    @admin.display(description=_("cause"))
    def cause(self, file: MediaFile) -> str:
        return str(CAUSES.get(file.error_code, file.last_error)) or support.NOTHING

    @admin.display(description=_("goes with a text of the salon"))
    def pinned_word(self, file: MediaFile) -> str:
        return str(_("yes") if file.pinned else _("no"))

    @admin.display(description=_("content"))
    def open_link(self, file: MediaFile) -> str:
        if file.state != State.KEPT:
            return support.NOTHING
        return support.page_link("whatsapp_mediafile_content", file.pk, gettext("Open; it is written down"))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.content)
        return [path("<int:pk>/content/", view, name="whatsapp_mediafile_content"), *super().get_urls()]

    def content(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The file itself, for those who may act; that they opened it is written down."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        file = MediaFile.objects.filter(pk=pk).first()
        if file is None:
            raise Http404
        try:
            response = file_response(request, file)
        except FileUnavailable as error:
            words = format_html("{}", _("This file cannot be shown."))
            return HttpResponse(words, status=404 if error.permanent else 503)
        user: Any = request.user  # signed in, as the admin lets nobody else through
        log.info("file opened", user=user.get_username(), file=pk)
        LogEntry.objects.create(
            user=user,
            content_type=ContentType.objects.get_for_model(MediaFile),
            object_id=str(pk),
            object_repr=str(file),
            action_flag=CHANGE,
            change_message=gettext("Opened the file."),
        )
        return response


admin.site.register(MediaFile, MediaFileAdmin)
