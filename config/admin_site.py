"""The admin site of support staff: how the service does on its first page, and a sign-in in two steps."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth import REDIRECT_FIELD_NAME, get_user_model, logout
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern, URLResolver
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters

from config import second_factor, sessions, sign_in
from config.shared.overview import panels_for, plots_for
from config.shared.periods import PERIODS, period_named


def _says_where_it_comes_from(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A page under `no-referrer`, as all others are, posts its forms with `Origin: null`, and the protection
    against forged requests refuses that."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        response.headers.setdefault("Referrer-Policy", "same-origin")
        return response

    return wrapped


# Django's own sentence, which our catalogue gives another Russian form: names of models are not declined.
ADD = gettext_noop("Add %(name)s")


class SupportSite(AdminSite):
    """Django's admin with our name, counts that link to the lists, and a second step at the sign-in."""

    site_header = site_title = _("WhatsApp for YClients: support")
    index_title = _("Overview")
    index_template = "support/index.html"

    def index(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        period = period_named(request.GET.get("period", ""))
        shown = {
            "panels": panels_for(request),
            "plots": plots_for(request, period),
            "period": period,
            "periods": PERIODS,
        }
        return super().index(request, {**(extra_context or {}), **shown})

    def has_permission(self, request: HttpRequest) -> bool:
        """Staff whose sign-in is complete and not too old."""
        return self._has_password_step(request) and second_factor.is_satisfied(request)

    @staticmethod
    def _has_password_step(request: HttpRequest) -> bool:
        user = request.user
        return user.is_active and user.is_staff and not sessions.is_too_old(request.session)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        own = path("second-factor/", self.second_factor, name="second_factor")
        codes = path("recovery-codes/", self.admin_view(self.recovery_codes), name="recovery_codes")
        return [own, codes, *super().get_urls()]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Every page but those of the sign-in passes here."""
        return _says_where_it_comes_from(super().admin_view(view, cacheable))

    @method_decorator(_says_where_it_comes_from)
    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The first step: name and password, counted before the password is looked at; then 429."""
        if request.method != "POST":
            return self._form_of_first_step(request, extra_context)
        username = request.POST.get("username", "")
        if wait := sign_in.refused_for(request, username):
            sign_in.record(request, None, "too many attempts", refused=True)
            return _wait(wait)
        response = super().login(request, extra_context)
        if response.status_code == 200:  # the form again; a success redirects
            known = get_user_model().objects.filter(username=username).first()
            sign_in.record(request, known, "wrong password", refused=True)
            return response
        if (
            not settings.STAFF_TOTP_REQUIRED
        ):  # else whoever guesses codes would forgive himself by the password
            sign_in.forgive(username)
        sign_in.record(request, _user(request), "password accepted", refused=False)
        return response

    def _form_of_first_step(self, request: HttpRequest, extra_context: Any) -> HttpResponse:
        if request.user.is_authenticated and sessions.is_too_old(request.session):
            logout(request)
        if self._has_password_step(request) and not second_factor.is_satisfied(request):
            query = request.GET.urlencode()
            return HttpResponseRedirect(f"{reverse('admin:second_factor')}{f'?{query}' if query else ''}")
        return super().login(request, extra_context)

    @method_decorator(
        (sensitive_post_parameters("code"), never_cache, csrf_protect, _says_where_it_comes_from)
    )
    def second_factor(self, request: HttpRequest) -> HttpResponse:
        """The second step: a code of the app that is enrolled, or the enrolment of one."""
        if not self._has_password_step(request):
            return HttpResponseRedirect(reverse("admin:login"))
        if self.has_permission(request) and request.user.is_verified():  # type: ignore[union-attr]
            return HttpResponseRedirect(_next(request))
        user = _user(request)
        enrolled = second_factor.device_of(user) is not None
        wrong = False
        if request.method == "POST":
            if wait := sign_in.refused_for(request, user.get_username()):
                sign_in.record(request, None, "too many codes", refused=True)
                return _wait(wait)
            done = self._second_step(request, user, enrolled=enrolled)
            if done is not None:
                return done
            wrong = True
            sign_in.record(request, user, "wrong code", refused=True)
        return self._page(request, _second_step_context(user, enrolled=enrolled), wrong=wrong)

    def _second_step(self, request: HttpRequest, user: User, *, enrolled: bool) -> HttpResponse | None:
        """Complete the sign-in by the code that was posted; None when it is wrong."""
        code = request.POST.get("code", "")[:100]
        if enrolled:
            if not second_factor.verify(request, user, code):
                return None
            sign_in.record(request, user, "signed in with a code", refused=False)
            response: HttpResponse = HttpResponseRedirect(_next(request))
        else:
            codes = second_factor.confirm(request, user, code)
            if not codes:
                return None
            sign_in.record(request, user, "enrolled an authenticator", refused=False)
            response = self._page(request, {"codes": codes, "title": _("Recovery codes")})
        sign_in.forgive(user.get_username())
        return response

    def recovery_codes(self, request: HttpRequest) -> HttpResponse:
        """New recovery codes, shown once, for whoever completed the second step; GET asks."""
        if not request.user.is_verified():  # type: ignore[union-attr]
            return HttpResponseRedirect(reverse("admin:second_factor"))
        codes = []
        if request.method == "POST":
            codes = second_factor.new_recovery_codes(_user(request))
            sign_in.record(request, _user(request), "made new recovery codes", refused=False)
        return self._page(request, {"codes": codes, "renew": not codes, "title": _("Recovery codes")})

    def _page(self, request: HttpRequest, context: dict[str, Any], **more: Any) -> HttpResponse:
        next_page = {REDIRECT_FIELD_NAME: _next(request)}
        return TemplateResponse(
            request,
            "support/second_factor.html",
            {**self.each_context(request), **next_page, **context, **more},
        )


def _second_step_context(user: User, *, enrolled: bool) -> dict[str, Any]:
    if enrolled:
        return {"title": _("Second step"), "enrolled": True}
    device = second_factor.enrolment_of(user)
    return {
        "title": _("Set up the second step"),
        "qr": second_factor.qr_of(device),
        "key": second_factor.key_of(device),
    }


def _user(request: HttpRequest) -> User:
    user: User = get_user_model()._default_manager.get(pk=request.user.pk or 0)
    return user


def _next(request: HttpRequest) -> str:
    wanted = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME, "")
    here = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if here else reverse("admin:index")


def _wait(seconds: int) -> HttpResponse:
    return HttpResponse(
        _("Too many attempts. Wait and try again."),
        status=429,
        content_type="text/plain; charset=utf-8",
        headers={"Retry-After": str(seconds)},
    )
