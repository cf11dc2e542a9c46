"""Sessions, their history and the pools, for support staff.

QR texts, pairing codes and key stores are never read here.
"""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.masking import mask_excerpt, mask_phone, mask_text
from config.shared.operations import OperableAdmin
from config.shared.support import ReadMostlyAdmin
from whatsapp.admin import histories
from whatsapp.admin.limits_page import in_force, limits_page
from whatsapp.admin.messages import MessageAdmin
from whatsapp.admin.pools import PoolAdmin
from whatsapp.admin.session_operations import RESTART, RESUME, STOP, UNLINK
from whatsapp.models import Message, Pool, Session, SessionEvent, StoredCredentials
from whatsapp.sessions.troubles import ADVICE

STATUS_TONES = {
    "starting": "busy", "qr": "waiting", "pairing_code": "waiting", "connecting": "busy",
    "connected": "good", "reconnecting": "busy", "conflict": "bad", "banned": "bad", "logged_out": "bad",
    "failed": "bad",
}  # fmt: skip
WANTED_TONES = {"linked": "good", "stopped": "waiting", "unlinked": "bad"}
HISTORY_SHOWN = 50


@admin.register(Session)
class SessionAdmin(OperableAdmin):
    """Linked devices: what is wanted, what is so, and who is at work on it."""

    hidden = ("qr", "pairing_code")
    operations = (RESTART, STOP, RESUME, UNLINK)
    list_display = ["number", "status_and_wanted", "phone_masked", "seen", "error"]
    list_filter = (
        ("status", support.titled(_("Status"))),
        ("wanted", support.titled(_("Wanted"))),
        ("trouble", support.titled(_("Trouble"))),
        ("connected_at", support.titled(_("Connected"), admin.DateFieldListFilter)),
    )
    search_fields = ["id__istartswith", "push_name", "jid", "lease_owner"]
    digits_search = ("phone",)
    ordering = ("-updated_at",)
    private = {
        "phone_full": "phone_masked",
        "jid_full": "jid_masked",
        "pairing_phone_full": "pairing_phone_masked",
    }
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "whole_id",
                    "status_word",
                    "wanted_word",
                    "phone_full",
                    "name",
                    "jid_full",
                    "trouble_and_advice",
                    "last_error_block",
                ]
            },
        ),
        (_("Messages"), {"fields": ["sent_and_received", "pace"]}),
        (
            _("Times"),
            {"fields": ["connected", "seen", "paired", "stable", "viewed", "banned", "created", "updated"]},
        ),
        (_("Pool"), {"fields": ["pool", "lease", "tries", "next_attempt", "restart_requested"]}),
        (_("Pairing"), {"fields": ["pairing_requested", "pairing_phone_full", "pairing_failure"]}),
        (_("Stored credentials"), {"fields": ["stored"]}),
        (_("History"), {"fields": ["history"]}),
    ]

    whole_id = support.plain_column("id", _("number"))
    phone_full = support.plain_column("phone", _("phone"))
    name = support.plain_column("push_name", _("name in WhatsApp"))
    jid_full = support.plain_column("jid", _("JID"))
    tries = support.plain_column("attempts", _("attempts"))
    pairing_phone_full = support.plain_column("pairing_phone", _("pairing phone"))
    pairing_failure = support.plain_column("pairing_error", _("pairing error"))
    status_word = support.state_column("status", _("status"), STATUS_TONES)
    wanted_word = support.state_column("wanted", _("wanted"), WANTED_TONES)
    phone_masked = support.masked_phone_column("phone", _("phone"))
    pairing_phone_masked = support.masked_phone_column("pairing_phone", _("pairing phone"))
    last_error_block = support.block_field("last_error", _("last error"))
    connected = support.moment_column("connected_at", _("connected"))
    seen = support.moment_column("last_seen_at", _("last seen"))
    paired = support.moment_column("paired_at", _("linked since"))
    stable = support.moment_column("stable_at", _("first stable"))
    viewed = support.moment_column("viewed_at", _("page last open"))
    banned = support.moment_column("banned_until", _("banned until"))
    created = support.moment_column("created_at", _("created"))
    updated = support.moment_column("updated_at", _("changed"))
    next_attempt = support.moment_column("next_attempt_at", _("next attempt"))
    restart_requested = support.moment_column("restart_requested_at", _("restart asked for"))
    pairing_requested = support.moment_column("pairing_requested_at", _("pairing asked for"))

    @admin.display(description=_("session"), ordering="id")
    def number(self, session: Session) -> str:
        return str(session.pk)[:8]

    @admin.display(description=_("status"), ordering="status")
    def status_and_wanted(self, session: Session) -> str:
        """What is wanted is said only where it is not the usual."""
        if session.wanted == Session.Wanted.LINKED:
            return self.status_word(session)
        return format_html("{}<br>{}", self.status_word(session), self.wanted_word(session))

    @admin.display(description=_("trouble"))
    def trouble_and_advice(self, session: Session) -> str:
        """What disturbs the link or ended it, and what to do about it."""
        if not session.trouble:
            return support.NOTHING
        word = support.state(session.get_trouble_display(), "bad")
        return format_html("{}<br>{}", word, ADVICE[session.trouble])

    @admin.display(description=_("JID"))
    def jid_masked(self, session: Session) -> str:
        return mask_phone(session.jid.partition("@")[0].partition(":")[0]) or support.NOTHING

    @admin.display(description=_("pool"), ordering="lease_owner")
    def pool(self, session: Session) -> str:
        if not session.lease_owner:
            return support.NOTHING
        return support.list_link(Pool, session.lease_owner, q=session.lease_owner)

    @admin.display(description=_("lease ends"), ordering="lease_expires_at")
    def lease(self, session: Session) -> str:
        return format_html("{} (#{})", support.moment(session.lease_expires_at), session.lease_token)

    @admin.display(description=_("last error"))
    def error(self, session: Session) -> str:
        first = session.last_error.strip().splitlines()[-1:] or [""]
        return mask_excerpt(first[0], 80) or support.NOTHING

    @admin.display(description=_("copy of the keys"))
    def stored(self, session: Session) -> str:
        kept = StoredCredentials.objects.filter(session=session).defer("store").first()
        if kept is None:
            return support.NOTHING
        text = _("Copy number %(generation)d, checksum %(checksum)s…, taken by %(pool)s") % {
            "generation": kept.generation, "checksum": kept.checksum[:8], "pool": kept.taken_by or "–",
        }  # fmt: skip
        return format_html("{}, {}", text, support.moment(kept.taken_at))

    @admin.display(description=_("latest first"))
    def history(self, session: Session) -> str:
        events = list(session.events.all()[:HISTORY_SHOWN])
        if not events:
            return support.NOTHING
        every = support.list_link(SessionEvent, _("Whole history"), session__id__exact=session.pk)
        titles = (_("time"), _("event"), _("detail"), _("pool"), _("engine host"))
        rows = (
            (
                histories.at_that_time(each.created_at),
                each.words,
                mask_text(each.detail),
                each.pool,
                each.host,
            )
            for each in events
        )
        return format_html("{}<p>{}</p>", histories.table(titles, rows), every)

    @admin.display(description=_("messages"))
    def sent_and_received(self, session: Session) -> str:
        return support.list_link(Message, _("messages"), session__id__exact=session.pk)

    @admin.display(description=_("sending limits"))
    def pace(self, session: Session) -> str:
        address = reverse("admin:whatsapp_session_limits", args=[session.pk])
        paused = format_html("{}. ", _("Sending is paused")) if session.sending_paused else ""
        return format_html('{}{} <a href="{}">{}</a>', paused, in_force(session), address, _("Change"))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.limits_view)
        return [path("<path:object_id>/limits/", view, name="whatsapp_session_limits"), *super().get_urls()]

    def limits_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Where the sending limits are set."""
        return limits_page(self, request, object_id)

    def describe(self, row: Session) -> str:
        return f"{str(row.pk)[:8]} {mask_phone(row.phone)}".strip()


@admin.register(SessionEvent)
class SessionEventAdmin(ReadMostlyAdmin):
    """What happened to sessions; append-only."""

    list_display = ("word", "session_link", "detail_masked", "holder", "created")
    list_filter = (
        support.words_filter(_("Kind"), "kind", SessionEvent.Kind.choices),
        ("created_at", support.titled(_("Time"), admin.DateFieldListFilter)),
    )
    search_fields = ("session__id__istartswith", "kind", "detail", "pool")
    digits_search = ("session__phone",)
    list_select_related = ("session",)
    hidden = ("session__qr", "session__pairing_code")
    fieldsets = [(None, {"fields": ["word", "session_link", "detail_masked", "holder", "engine", "created"]})]

    word = support.plain_column("words", _("event"))
    holder = support.plain_column("pool", _("pool"))
    engine = support.plain_column("host", _("engine host"))
    created = support.moment_column("created_at", _("time"))

    @admin.display(description=_("session"))
    def session_link(self, event: SessionEvent) -> str:
        return support.link(event.session, str(event.session_id)[:8])

    @admin.display(description=_("detail"))
    def detail_masked(self, event: SessionEvent) -> str:
        return mask_text(event.detail) or support.NOTHING

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup == "session__id__exact" or super().lookup_allowed(lookup, value, request)


admin.site.register(Message, MessageAdmin)
admin.site.register(Pool, PoolAdmin)
