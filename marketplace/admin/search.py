"""One search box for support: salons with why they are not connected, and what a client was sent.

Every query is bounded and on an index, and shows only what the member of staff may view.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import structlog
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model, Prefetch, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from config.shared import support
from config.shared.masking import mask_excerpt, mask_phone, mask_text
from config.shared.operations import OperableAdmin
from config.shared.overview import may_view
from config.shared.support import Text
from marketplace.admin.diagnosis import Finding, explain
from marketplace.admin.sessions import COMPANY_SECRETS, salon_name
from marketplace.models import AccessRequest, Company, OptOut, RecordState
from whatsapp.admin.long_lists import LARGEST_NUMBER
from whatsapp.messages import story
from whatsapp.messages.phone_search import digits_in, phone_is
from whatsapp.models import Message, Session
from whatsapp.sessions import services

log = structlog.get_logger("support")

MOST_SALONS, MOST_MESSAGES, MOST_RECORDS = 10, 30, 10
LONGEST = 100  # characters
EXCERPT = 70
_OF_COMPANY = tuple(f"company__{name}" for name in COMPANY_SECRETS)


@dataclass(frozen=True, slots=True)
class Action:
    """A button or link that leads to what mends the finding."""

    url: str
    label: Text
    destructive: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One finding: a link, a state, and words."""

    link: SafeString
    state: SafeString
    text: str
    moment: str = ""
    salons: str = ""  # links to those whose message it is
    actions: Sequence[Action] = ()


def search(request: HttpRequest, term: str) -> dict[str, Any]:
    """What a term finds: a salon's name, number or phone, a client's phone, a message's number."""
    term = "".join(letter for letter in " ".join(term.split()) if letter.isprintable())[:LONGEST]
    if not term:
        return {"term": ""}
    user = request.user
    log.info("searched", user=user.get_username(), term=mask_text(term))
    digits = digits_in(term)
    found: dict[str, Any] = {"term": term}
    if _may(user, "marketplace.view_company"):
        found["salons"] = _salons(request, term, digits)
    if _may(user, "whatsapp.view_message"):
        named = _may(user, "marketplace.view_company")
        found["client_messages"] = _messages(digits, named=named)  # `messages` are the admin's own notices
    if _may(user, "marketplace.view_optout") and len(digits) >= 10:
        found["opt_outs"] = _opt_outs(digits)
    if _may(user, "marketplace.view_recordstate") and len(digits) >= 10:
        found["records"] = _records(digits)
    return found


def _may(user: Any, permission: str) -> bool:
    return isinstance(user, User) and user.has_perm(permission)


def _salons(request: HttpRequest, term: str, digits: str) -> list[Line]:
    """Why they are not connected is said to those who may view sessions."""
    by_name = Q(title__icontains=term)  # some thousands of rows
    if digits and int(digits[:20]) <= LARGEST_NUMBER:
        by_name |= Q(salon_id=int(digits))
    if len(digits) >= 4:
        tail = digits[-10:]
        by_name |= Q(phone__endswith=tail) | Q(session__phone__endswith=tail)
    rows = Company.objects.select_related("session").defer(*COMPANY_SECRETS).filter(by_name)
    explained, pool_running = _may(request.user, "whatsapp.view_session"), services.pool_is_running()
    lines = []
    for company in rows.order_by("-updated_at")[:MOST_SALONS]:
        found = explain(company, pool_running=pool_running) if explained else Finding("off", "")
        word = support.state(company.get_status_display(), found.tone)
        actions = list(_actions(request, company, found)) if explained else []
        lines.append(Line(support.link(company, salon_name(company)), word, found.text, actions=actions))
    return lines


def _actions(request: HttpRequest, company: Company, found: Finding) -> Iterator[Action]:
    """What the member of staff may do about it now, then where he sees more."""
    for row, operations in ((company, found.operations), (company.session, found.on_session)):
        if row is None:
            continue
        shown = admin.site.get_model_admin(type(row))
        if not isinstance(shown, OperableAdmin) or not shown.has_operate_permission(request):
            continue
        for each in operations:
            if not each.refusal(row):
                yield Action(shown.confirmation_url(each, [row.pk]), each.label, each.destructive)
    for model in found.look_at:
        if may_view(request, model):
            yield Action(_list_of(model, company), capfirst(str(model._meta.verbose_name_plural)))
    if company.session is not None:
        address = reverse("admin:whatsapp_session_change", args=[company.session.pk])
        yield Action(address, capfirst(str(Session._meta.verbose_name)))


def _list_of(model: type[Model], company: Company) -> str:
    """The salon's rows in a list."""
    own: dict[type[Model], dict[str, Any]] = {
        AccessRequest: {"company__id__exact": company.pk},
        Message: {"session__id__exact": company.session_id},
    }
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{address}?{urlencode(own.get(model, {}))}".removesuffix("?")


def _messages(digits: str, *, named: bool) -> list[Line]:
    """By a message's number, which is its `ext_id` too, or the latest ones of a client's phone.

    `named`: with the salons of the number that it went out from, or came to.
    """
    if not digits:
        return []
    keys = [int(digits)] if len(digits) < 10 else []
    if len(digits) >= 4:
        latest = Message.objects.filter(phone_is(digits)).order_by("-id")
        keys += latest.values_list("pk", flat=True)[:MOST_MESSAGES]
    rows = Message.objects.filter(pk__in=keys).defer("callback_url").select_related("session")
    salons = Prefetch("session__companies", Company.objects.defer(*COMPANY_SECRETS))
    rows = rows.prefetch_related(salons) if named else rows
    return [_message(message, named=named) for message in rows.order_by("-id")[:MOST_MESSAGES]]


def _message(message: Message, *, named: bool) -> Line:
    companies = message.session.companies.all() if named else ()
    tone = {"failed": "bad", "expired": "bad", "unknown": "bad", "queued": "waiting", "sending": "busy"}
    words = [
        message.get_source_display(),
        mask_phone(message.phone),
        mask_excerpt(message.text, EXCERPT),
        story.cause(message) or story.waits_for(message),
    ]
    return Line(
        support.link(message, f"#{message.pk}"),
        support.state(message.get_status_display(), tone.get(message.status, "good")),
        " · ".join(str(word) for word in words if word),
        support.moment(message.created_at),
        support.joined(support.link(each, salon_name(each)) for each in companies),
    )


def _opt_outs(digits: str) -> list[Line]:
    rows = (
        OptOut.objects.select_related("company")
        .defer(*_OF_COMPANY)
        .filter(phone_is(digits))
        .order_by("-said_at")
    )
    return [
        Line(
            support.link(row, salon_name(row.company)),
            support.state(row.get_scope_display(), "bad" if row.holds else "off"),
            "",
            support.moment(row.said_at),
        )
        for row in rows[:MOST_RECORDS]
    ]


def _records(digits: str) -> list[Line]:
    rows = (
        RecordState.objects.select_related("company")
        .defer(*_OF_COMPANY)
        .filter(phone_is(digits))
        .order_by("-starts_at")
    )
    return [
        Line(
            support.link(row, f"№ {row.record_id}"),
            support.state(salon_name(row.company), "off"),
            "",
            support.moment(row.starts_at),
        )
        for row in rows[:MOST_RECORDS]
    ]
