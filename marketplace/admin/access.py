"""Requests of YClients users for salons that belong to others, for support staff: whose is the salon?"""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.operations import OperableAdmin, Operation
from config.shared.support import Text
from marketplace.admin.sessions import COMPANY_SECRETS, salon_name
from marketplace.models import AccessRequest
from marketplace.salons import access


def _approve(request: AccessRequest, cause: str) -> None:
    access.approve(request, by=cause)


def _why_not_approve(request: AccessRequest) -> Text:
    return _("The request has been decided.") if request.closed_at else ""


APPROVE = Operation(
    name="approve-access",
    label=_("Let this user in"),
    consequence=_(
        "The user may link the salon's WhatsApp for an hour, once the application is opened in YClients "
        "anew. Where two users came for a salon that was never activated, the salon is given to this one "
        "for good, and a phone that the other one has linked is removed. Make sure first that the user runs "
        "the salon."
    ),
    perform=_approve,
    refusal=_why_not_approve,
)


class OpenFilter(admin.SimpleListFilter):
    """Requests that wait for a decision, unless others are asked for."""

    title = _("State")
    parameter_name = "state"

    def lookups(self, _request: HttpRequest, _model_admin: object) -> list[tuple[str, Text]]:
        return [("open", _("open")), ("decided", _("decided"))]

    def queryset(
        self, _request: HttpRequest, queryset: QuerySet[AccessRequest]
    ) -> QuerySet[AccessRequest] | None:
        if self.value() in ("open", "decided"):
            return queryset.filter(closed_at__isnull=self.value() == "open")
        return queryset


@admin.register(AccessRequest)
class AccessRequestAdmin(OperableAdmin):
    """Who wants power over a salon that is not his."""

    hidden = (*(f"company__{name}" for name in COMPANY_SECRETS), "link_digest")
    operations = (APPROVE,)
    list_display = ("number", "salon", "reason", "user_name", "owner", "state_word", "asked")
    list_filter = (OpenFilter, ("asked_at", support.titled(_("Time"), admin.DateFieldListFilter)))
    list_select_related = ("company",)
    search_fields = ("=id", "=company__salon_id", "company__title", "user_name", "user_email", "=user_id")
    private = {"phone_full": "phone_masked"}
    fieldsets = [
        (None, {"fields": ["number", "salon", "reason", "state_word", "asked", "decided"]}),
        (_("Who asks"), {"fields": ["who_id", "who", "phone_full", "mail"]}),
        (_("To whom the salon belongs"), {"fields": ["owner"]}),
        (_("Ways in"), {"fields": ["approved", "approver", "link_sent", "link_used"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccessRequest]:
        """Without links to the cabinet, for which anybody may ask: there is nothing to decide."""
        return super().get_queryset(request).exclude(holder__startswith=access.CABINET_HOLDER)

    number = support.plain_column("pk", _("number"))
    who_id = support.plain_column("user_id", _("number in YClients"))
    who = support.plain_column("user_name", _("name"))
    phone_full = support.plain_column("user_phone", _("phone"))
    phone_masked = support.masked_phone_column("user_phone", _("phone"))
    mail = support.plain_column("user_email", _("email"))
    approver = support.plain_column("approved_by", _("approved by"))
    asked = support.moment_column("asked_at", _("last visit"))
    decided = support.moment_column("closed_at", _("decided"))
    approved = support.moment_column("approved_until", _("approved until"))
    link_sent = support.moment_column("link_sent_at", _("link sent"))
    link_used = support.moment_column("link_used_at", _("link used"))

    @admin.display(description=_("salon"), ordering="company__title")
    def salon(self, request: AccessRequest) -> str:
        return support.link(request.company, salon_name(request.company))

    @admin.display(description=_("what for"))
    def reason(self, request: AccessRequest) -> str:
        if request.company.disputed_at:
            return support.state(_("two users before the activation"), "bad")
        return support.state(_("the salon is another user's"), "waiting")

    @admin.display(description=_("belongs to"))
    def owner(self, request: AccessRequest) -> str:
        company = request.company
        named = (company.marketplace_user_name, company.marketplace_user_id)
        return ", ".join(part for part in named if part) or support.NOTHING

    @admin.display(description=_("state"))
    def state_word(self, request: AccessRequest) -> str:
        if request.closed_at is None:
            return support.state(_("open"), "waiting")
        return support.state(_("approved") if request.approved_until else _("decided"), "off")

    def describe(self, row: AccessRequest) -> str:
        return f"{row.user_name or row.user_id or row.pk}, {salon_name(row.company)}"
