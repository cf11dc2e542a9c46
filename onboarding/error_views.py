"""The answers to requests that reached no view, or whose view broke: a page, or JSON where machines ask."""

from django.http import HttpRequest, HttpResponse, JsonResponse

from onboarding.api.errors import ApiError
from onboarding.rendering import pages
from onboarding.rendering.pages import page

JSON_PATHS = ("/marketplace/api/", "/marketplace/activate", "/webhook/", "/yclients/")


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """handler400"""
    return _problem(request, "bad_request")


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """handler403"""
    return _problem(request, "forbidden")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """handler404"""
    return _problem(request, "not_found")


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500"""
    return _problem(request, "server_error")


def busy(request: HttpRequest) -> HttpResponse:
    """503: all threads of this class of requests are at work."""
    return _problem(request, "unavailable")


@page
def _problem(request: HttpRequest, word: str) -> HttpResponse:
    if not request.path.startswith(JSON_PATHS):
        return pages.error(word)
    status, title, _text = pages.ERRORS[word]
    return JsonResponse(ApiError(status, word, error=str(title)).body(), status=status)
