"""Messages for support staff: found by phone, state and time; one message's whole story; what can be done.

Callback addresses are never read here: they hold the partner token.
"""

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import unquote_plus

import structlog
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.counting import MOST_COUNTED
from config.shared.masking import mask_excerpt, mask_phone, mask_text
from config.shared.operations import OperableAdmin, Operation
from whatsapp.admin import histories, message_export
from whatsapp.admin.long_lists import LARGEST_NUMBER, LongListAdmin
from whatsapp.admin.message_operations import RESEND, WITHDRAW
from whatsapp.messages import story
from whatsapp.messages.phone_search import digits_in, phone_is
from whatsapp.models import Message, Session

log = structlog.get_logger("support")

STATUS_TONES = {
    "queued": "waiting", "sending": "busy", "sent": "busy", "delivered": "good", "read": "good",
    "received": "good", "failed": "bad", "expired": "bad", "unknown": "bad",
}  # fmt: skip
CALLBACK_TONES = {"due": "busy", "done": "good", "dead": "bad"}
SESSION_SECRETS = ("session__qr", "session__pairing_code")
EXCERPT = 70  # characters
SHORT_ID = 8  # characters of the first group of a session's id, by which people name it


class MessageAdmin(LongListAdmin, OperableAdmin):
    """Every message, to clients and from them."""

    hidden = ("callback_url", *SESSION_SECRETS)
    operations: tuple[Operation, ...] = (RESEND, WITHDRAW)
    change_list_template = "support/message_list.html"
    list_display = ["taken", "session_and_phone", "status_and_source", "excerpt"]
    list_filter: ClassVar[Any] = (
        ("status", support.titled(_("Status"))),
        ("source", support.titled(_("Source"))),
        ("category", support.titled(_("Category"))),
        ("callback_state", support.titled(_("Telling who asked"))),
        ("created_at", support.titled(_("Taken"), admin.DateFieldListFilter)),
    )
    list_select_related = ("session",)
    search_fields = ("=id",)
    search_help_text = _("A phone or its last digits, a message's number, the beginning of a session's id")
    private: Mapping[str, str] = {
        "phone_full": "phone_masked",
        "text_full": "text_masked",
        "place_full": "place_masked",
    }
    fieldsets = [
        (None, {"fields": [
            "number", "session_link", "status_word", "waiting", "cause", "phone_full", "sort", "sort_of_text",
            "text_full", "file", "place_full"]}),
        (_("What happened"), {"fields": ["story"]}),
        (_("Attempts"), {"fields": ["tries", "refusals", "doubts", "engine_words"]}),
        (_("Telling who asked"), {"fields": [
            "callback_word", "callback_tries", "callback_next", "callback_failure"]}),
        (_("Names"), {"fields": ["name_at_sender", "name_at_whatsapp"]}),
    ]  # fmt: skip

    number = support.plain_column("id", _("number"))
    phone_full = support.plain_column("phone", _("phone"))
    phone_masked = support.masked_phone_column("phone", _("phone"))
    status_word = support.state_column("status", _("status"), STATUS_TONES)
    callback_word = support.state_column("callback_state", _("state"), CALLBACK_TONES)
    tries = support.plain_column("attempts", _("attempts"))
    refusals = support.plain_column("failures", _("refusals by WhatsApp"))
    doubts = support.plain_column("unknowns", _("times its outcome was not known"))
    callback_tries = support.plain_column("callback_attempts", _("failed attempts"))
    name_at_sender = support.plain_column("external_id", _("name at the sender"))
    name_at_whatsapp = support.plain_column("wa_message_id", _("name at WhatsApp"))
    engine_words = support.block_field("error", _("in the library's words"))
    callback_failure = support.block_field("callback_error", _("last error"))
    taken = support.moment_column("created_at", _("taken"))

    @admin.display(description=_("session"))
    def session_link(self, message: Message) -> str:
        return support.link(message.session, str(message.session_id)[:8])

    @admin.display(description=_("session, client"))
    def session_and_phone(self, message: Message) -> str:
        return format_html("{}<br>{}", self.session_link(message), self.phone_masked(message))

    @admin.display(description=_("status, source"))
    def status_and_source(self, message: Message) -> str:
        return format_html("{}<br>{}", self.status_word(message), message.get_source_display())

    @admin.display(description=_("source"))
    def sort(self, message: Message) -> str:
        return message.get_source_display()

    @admin.display(description=_("category"))
    def sort_of_text(self, message: Message) -> str:
        return message.get_category_display()

    @admin.display(description=_("text"))
    def excerpt(self, message: Message) -> str:
        return mask_excerpt(_text_of(message), EXCERPT)

    @admin.display(description=_("text"))
    def text_full(self, message: Message) -> str:
        return format_html('<pre class="support-block">{}</pre>', _text_of(message))

    @admin.display(description=_("text"))
    def text_masked(self, message: Message) -> str:
        return support.block(_text_of(message))

    @admin.display(description=_("file"))
    def file(self, message: Message) -> str:
        found = message.media
        return support.link(found, found.get_kind_display()) if found else support.NOTHING

    @admin.display(description=_("place"))
    def place_full(self, message: Message) -> str:
        place = getattr(message, "location", None)
        if place is None:
            return support.NOTHING
        named = ", ".join(part for part in (place.name, place.address) if part)
        return f"{place.latitude:.6f}, {place.longitude:.6f} {named}".strip()

    @admin.display(description=_("place"))
    def place_masked(self, message: Message) -> str:
        return "…" if hasattr(message, "location") else support.NOTHING

    @admin.display(description=_("waits for"))
    def waiting(self, message: Message) -> str:
        return story.waits_for(message) or support.NOTHING

    @admin.display(description=_("cause"))
    def cause(self, message: Message) -> str:
        return story.cause(message) or support.NOTHING

    @admin.display(description=_("next attempt"))
    def callback_next(self, message: Message) -> str:
        due = message.callback_state == Message.CallbackState.DUE
        return support.moment(message.callback_next_at if due else None)

    @admin.display(description=_("in order, UTC"))
    def story(self, message: Message) -> str:
        steps = story.steps(message)
        rows = ((histories.at_that_time(at), words) for at, words in steps)
        return histories.table((_("time"), _("event")), rows)

    def describe(self, row: Message) -> str:
        return f"#{row.pk} {mask_phone(row.phone)}".strip()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup == "session__id__exact" or super().lookup_allowed(lookup, value, request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Only by what has an index: the table is long, and a text in the middle of others has none."""
        term = search_term.strip()
        return (queryset.filter(self.found_by(term)) if term else queryset), False

    def found_by(self, term: str) -> Q:
        """The condition that a search for `term` stands for."""
        of_session = Session.objects.filter(pk__istartswith=term)
        if not (digits := digits_in(term)):
            return self.of_sessions(of_session)
        found = phone_is(digits)
        if int(digits) <= LARGEST_NUMBER:
            found |= Q(pk=int(digits))
        if len(term) == SHORT_ID:  # one id in forty begins with digits alone
            found |= self.of_sessions(of_session)
        return found

    @staticmethod
    def of_sessions(sessions: QuerySet[Session]) -> Q:
        """The messages of these sessions, asked for by their keys, which have an index."""
        return Q(session__in=list(sessions.values_list("pk", flat=True)[:100]))

    # --- export --------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        own = path("export/", self.admin_site.admin_view(self.export), name="whatsapp_message_export")
        return [own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        query = request.GET.copy()
        query.pop("p", None)
        address = f"{reverse('admin:whatsapp_message_export')}?{query.urlencode()}"
        shown = {"export_url": address if self.has_operate_permission(request) else ""}
        return super().changelist_view(request, {**(extra_context or {}), **shown})

    def salons_of(self, message: Message) -> str:
        """The salon's name in the file; this app knows none."""
        return str(message.session_id)

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """GET says what the file will hold; POST gives it, for the same filters, and writes down who took
        it."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        try:
            listed = self.get_changelist_instance(request)
        except IncorrectLookupParameters as error:
            raise Http404 from error
        if request.method != "POST":
            context = {
                **self.admin_site.each_context(request),
                "title": _("Export to CSV"),
                "opts": self.opts,
                "media": self.media,
                "number": min(listed.result_count, MOST_COUNTED),
                "more": listed.result_count > MOST_COUNTED,
                "address": request.get_full_path(),
                "back": f"{reverse('admin:whatsapp_message_changelist')}?{request.GET.urlencode()}",
            }
            return TemplateResponse(request, "support/export.html", context)
        self._write_down(request)
        language = get_language() or "ru"
        lines = message_export.stream(listed.queryset, salons=self.salons_of, language=language)
        name = f"messages-{timezone.now():%Y%m%d-%H%M%S}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)

    def _write_down(self, request: HttpRequest) -> None:
        user: Any = request.user  # signed in, as the admin's doors let nobody else through
        chosen = mask_text(unquote_plus(request.GET.urlencode()))[:500]
        log.info("messages exported", user=user.get_username(), chosen=chosen)
        LogEntry.objects.create(
            user=user,
            content_type=ContentType.objects.get_for_model(Message),
            object_repr="CSV",
            action_flag=CHANGE,
            change_message=f"{_('Export to CSV')}: {chosen}",
        )


def _text_of(message: Message) -> str:
    if message.pruned_at is not None:
        return str(_("[removed, as its time was over]"))
    note = story.note_words(message.note)
    return message.text or (f"[{note}]" if note else "")
