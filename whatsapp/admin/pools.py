"""The pools and their engine hosts, for support staff."""

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.support import ReadMostlyAdmin
from whatsapp.admin import histories
from whatsapp.models import Pool, Session
from whatsapp.sessions import services

MIB = 2**20
HOST_KINDS = {"spare": _("ready for the next"), "pairing": _("links a phone"), "shard": _("holds sessions")}


class AliveFilter(admin.SimpleListFilter):
    """Pools by whether they are running."""

    title = _("state")
    parameter_name = "alive"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("running")), ("no", _("silent"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        oldest = timezone.now() - services.POOL_SILENCE
        if self.value() == "yes":
            return queryset.filter(heartbeat_at__gt=oldest)
        return queryset.filter(heartbeat_at__lte=oldest) if self.value() == "no" else queryset


class PoolAdmin(ReadMostlyAdmin):
    """The processes that hold the sessions."""

    list_display = ("number", "alive", "held", "places", "engines", "memory", "heartbeat", "started")
    list_filter = (AliveFilter,)
    search_fields = ("name",)
    ordering = ("-heartbeat_at",)
    fieldsets = [
        (None, {"fields": ["number", "alive", "held", "places", "memory", "proxy", "heartbeat", "started"]}),
        (_("Engine hosts"), {"fields": ["hosts_one_by_one"]}),
    ]

    number = support.plain_column("name", _("name"))
    places = support.plain_column("capacity", _("capacity"))
    engines = support.plain_column("hosts", _("engine hosts"))
    heartbeat = support.moment_column("heartbeat_at", _("heartbeat"))
    started = support.moment_column("started_at", _("started"))

    @admin.display(description=_("state"))
    def alive(self, pool: Pool) -> str:
        beats = pool.heartbeat_at > timezone.now() - services.POOL_SILENCE
        return support.state(_("running"), "good") if beats else support.state(_("silent"), "bad")

    @admin.display(description=_("memory"), ordering="rss_bytes")
    def memory(self, pool: Pool) -> str:
        return f"{(pool.own_rss_bytes + pool.rss_bytes) / MIB:.0f} MiB"

    @admin.display(description=_("sessions"))
    def held(self, pool: Pool) -> str:
        return support.list_link(Session, str(pool.sessions), q=pool.name)

    @admin.display(description=_("outgoing proxy"))
    def proxy(self, pool: Pool) -> str:
        """Host and port alone, and how the last connection through it ended."""
        host = next((each for each in pool.engine_hosts if each.get("proxy")), None)
        if host is None:
            return support.NOTHING
        words = {
            True: support.state(_("the last connection succeeded"), "good"),
            False: support.state(_("the last connection failed"), "bad"),
            None: support.state(_("not used yet"), "waiting"),
        }
        return format_html("{} {}", host["proxy"], words[host.get("proxy_works")])

    @admin.display(description=_("at the last heartbeat"))
    def hosts_one_by_one(self, pool: Pool) -> str:
        titles = (_("host"), _("kind"), _("sessions"), _("memory"), _("threads"), _("started"))
        return histories.table(titles, (self._cells(host) for host in pool.engine_hosts))

    @staticmethod
    def _cells(host: dict[str, Any]) -> tuple[object, ...]:
        started = datetime.fromtimestamp(host["started_at"], UTC)
        memory = f"{host['rss_bytes'] / MIB:.0f} MiB"
        name, kind = f"{host['id']}, pid {host['pid']}", HOST_KINDS.get(host["kind"], host["kind"])
        return (name, kind, host["sessions"], memory, host["threads"], support.moment(started))
