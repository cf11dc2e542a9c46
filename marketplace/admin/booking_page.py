"""The pages on which support staff set a salon's messages about bookings, preview them, and send a test."""

from typing import Any

from django.contrib import messages as notices
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared.masking import mask_phone
from config.shared.operations import OperableAdmin
from marketplace.bookings import messages, settings_changes, times, wording
from marketplace.bookings.forms import BookingForm, TryForm
from marketplace.models import Company, rendering
from marketplace.models.booking_kinds import Kind

PAGE, TEST = "marketplace_company_bookings", "marketplace_company_bookings_test"


class WithBookingMessages(OperableAdmin):
    """Adds the pages to the admin of salons; they need the same permission as its operations."""

    def get_urls(self) -> list[URLPattern]:
        page, test = (self.admin_site.admin_view(view) for view in (self.bookings, self.bookings_test))
        return [
            path("<path:object_id>/bookings/test/", test, name=TEST),
            path("<path:object_id>/bookings/", page, name=PAGE),
            *super().get_urls(),
        ]

    def bookings(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the form with what a client would read; keep it, or only show it anew."""
        company = self._company(request, object_id)
        settings = wording.settings_of(company)
        form = BookingForm(request.POST or None, instance=settings, label_suffix="")
        if request.method == "POST" and "preview" not in request.POST and form.is_valid():
            try:
                self._keep(request, company, form)
            except settings_changes.ChangedMeanwhile:
                form = self._anew(request, company)
            else:
                return HttpResponseRedirect(reverse(f"admin:{PAGE}", args=[company.pk]))
        previews = form.previews()
        context = {
            "title": _("Booking messages"),
            "form": form,
            "switches": [form[name] for name in (*BookingForm.Meta.fields, *times.FIELDS)],
            "texts": [(form[f"text_{kind}"], previews[kind]) for kind in Kind],
            "names": ", ".join(f"{{{name}}}" for name in rendering.NAMES),
            "test_url": reverse(f"admin:{TEST}", args=[company.pk]),
            "is_preview": "preview" in request.POST and form.is_valid(),
            "is_served": messages.is_served(company),
        }
        return self._shown(request, company, "support/bookings.html", context)

    def bookings_test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the phone and say what will happen; send one message on POST."""
        company = self._company(request, object_id)
        form = TryForm(request.POST or None, company=company)
        if request.method == "POST" and form.is_valid():
            self._send(request, company, form)
            return HttpResponseRedirect(reverse(f"admin:{PAGE}", args=[company.pk]))
        context = {
            "title": _("Send a test"),
            "form": form,
            "back": reverse(f"admin:{PAGE}", args=[company.pk]),
            "is_served": messages.is_served(company),
        }
        return self._shown(request, company, "support/bookings_test.html", context)

    def _company(self, request: HttpRequest, object_id: str) -> Company:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        company: Company | None = self.get_object(request, object_id)
        if company is None:
            raise Http404
        return company

    def _shown(
        self, request: HttpRequest, company: Company, template: str, context: dict[str, Any]
    ) -> HttpResponse:
        return TemplateResponse(
            request,
            template,
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "media": self.media,
                "name": self.describe(company),
                "company_url": reverse("admin:marketplace_company_change", args=[company.pk]),
                **context,
            },
        )

    def _keep(self, request: HttpRequest, company: Company, form: BookingForm) -> None:
        if not form.has_changed():
            return
        words = form.words()
        with transaction.atomic():
            # Locked before anything is read: simultaneous changes come one after the other.
            Company.objects.select_for_update(of=("self",), no_key=True).get(pk=company.pk)
            if form.cleaned_data["version"] != settings_changes.version(wording.settings_of(company)):
                raise settings_changes.ChangedMeanwhile
            planned = settings_changes.change(settings=form.save(commit=False), words=words)
            self.log_change(request, company, f"{_('Booking messages')}: {', '.join(form.changed_data)}")
        text = gettext("Kept for %(name)s. Reminders planned: %(planned)d.")
        notices.success(request, text % {"name": self.describe(company), "planned": planned})

    def _anew(self, request: HttpRequest, company: Company) -> BookingForm:
        """The form as it was sent, which replaces what somebody else has kept when it is sent once more."""
        settings = wording.settings_of(company)
        sent = request.POST.copy()
        sent["version"] = settings_changes.version(settings)
        form = BookingForm(sent, instance=settings, label_suffix="")
        said = gettext(
            "Somebody changed this meanwhile. Yours is below: save it once more to replace theirs."
        )
        form.add_error(None, said)
        return form

    def _send(self, request: HttpRequest, company: Company, form: TryForm) -> None:
        said = form.cleaned_data
        try:
            with transaction.atomic():
                messages.send_test(
                    company=company,
                    kind=Kind(said["kind"]),
                    phone=said["phone"],
                    name=f"test-{said['name'].hex}",
                    now=timezone.now(),
                )
                self.log_change(request, company, f"{_('Send a test')}: {mask_phone(said['phone'])}")
        except messages.NotServed:
            notices.error(request, gettext("This salon cannot send: it is not active, or has no WhatsApp."))
            return
        text = gettext("The test goes out to %(phone)s within seconds; its story is in the list of messages.")
        notices.success(request, text % {"phone": mask_phone(said["phone"])})
