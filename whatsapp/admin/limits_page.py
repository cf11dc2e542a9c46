"""The page on which support staff set how fast one session sends."""

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared.operations import OperableAdmin
from whatsapp.messages.limits import limits_of, limits_were_set
from whatsapp.models import SendingLimits, Session

LONGEST_GAP = 3600  # seconds


class LimitsForm(forms.ModelForm):  # type: ignore[type-arg]
    """What is left empty follows the policy for a number of its age."""

    class Meta:
        model = SendingLimits
        fields = (
            "paced", "gap_seconds", "jitter", "burst", "daily_cap", "timezone_name", "adds_from",
            "adds_until",
        )  # fmt: skip
        labels = {
            "paced": _("Pauses between messages"),
            "gap_seconds": _("Mean pause, seconds"),
            "jitter": _("How much pauses vary, from 0 to 1"),
            "burst": _("Messages at once after a quiet time"),
            "daily_cap": _("Messages a day; 0: any number"),
            "timezone_name": _("Time zone"),
            "adds_from": _("Advertising from"),
            "adds_until": _("Advertising until"),
        }
        help_texts = dict.fromkeys(fields, "")
        widgets = {
            "adds_from": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
            "adds_until": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        }

    def clean_timezone_name(self) -> str:
        name: str = self.cleaned_data["timezone_name"].strip()
        if name and name not in available_timezones():
            raise ValidationError(gettext("There is no such time zone. Write it as Europe/Moscow."))
        return name

    def clean_gap_seconds(self) -> float | None:
        gap: float | None = self.cleaned_data["gap_seconds"]
        if gap is not None and not 0 <= gap <= LONGEST_GAP:
            raise ValidationError(gettext("From 0 to 3600 seconds."))
        return gap

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if (cleaned.get("adds_from") is None) != (cleaned.get("adds_until") is None):
            raise ValidationError(gettext("Give both hours of advertising, or neither."))
        return cleaned


def in_force(session: Session) -> str:
    """What holds for the session at this moment, whoever said so, in one sentence."""
    row = SendingLimits.objects.filter(session=session).first()
    limits = limits_of(session=session, row=row, now=timezone.now())
    hours = gettext("advertising from %(from)s to %(until)s, %(zone)s") % {
        "from": f"{limits.adds_from:%H:%M}", "until": f"{limits.adds_until:%H:%M}", "zone": limits.zone.key,
    }  # fmt: skip
    if not limits.paced:
        return f"{gettext('no pauses')}; {hours}"
    pace = gettext("a message every %(gap)g s, pauses vary by %(jitter)d %%, up to %(burst)d at once") % {
        "gap": limits.gap, "jitter": round(limits.jitter * 100), "burst": limits.burst,
    }  # fmt: skip
    cap = (
        gettext("at most %(cap)d a day") % {"cap": limits.cap} if limits.cap else gettext("any number a day")
    )
    return f"{pace}; {cap}; {hours}"


def limits_page(model_admin: OperableAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Show the form; on POST keep what it says and write it to both histories."""
    if not model_admin.has_operate_permission(request):
        raise PermissionDenied
    session = model_admin.get_object(request, object_id)
    if session is None:
        raise Http404
    row = SendingLimits.objects.filter(session=session).first() or SendingLimits(session=session)
    form = LimitsForm(request.POST or None, instance=row)
    if request.method == "POST" and form.is_valid():
        _keep(model_admin, request, session, form)
        return HttpResponseRedirect(reverse("admin:whatsapp_session_change", args=[session.pk]))
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Sending limits"),
        "opts": model_admin.opts,
        "media": model_admin.media,
        "form": form,
        "name": model_admin.describe(session),
        "in_force": in_force(session),
        "back": reverse("admin:whatsapp_session_change", args=[session.pk]),
    }
    return TemplateResponse(request, "support/limits.html", context)


def _keep(model_admin: OperableAdmin, request: HttpRequest, session: Session, form: LimitsForm) -> None:
    changed = ", ".join(f"{name}={form.cleaned_data[name]}" for name in form.changed_data)
    if not changed:
        return
    with transaction.atomic():
        form.save()
        limits_were_set(session=session, by=f"support: {request.user.get_username()}", changed=changed)
        model_admin.log_change(request, session, f"{_('Sending limits')}: {changed}")
    text = gettext("The sending limits of %(name)s are kept; they hold from the next message on.")
    messages.success(request, text % {"name": model_admin.describe(session)})
