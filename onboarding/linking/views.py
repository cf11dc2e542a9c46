"""The page on which a salon's WhatsApp is linked."""

import django.db
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language

from onboarding.linking import page_actions, page_texts, token_scope, tokens
from onboarding.rendering import pages, phones
from onboarding.rendering.pages import page

log = structlog.get_logger("onboarding")


@page
def onboarding(request: HttpRequest) -> HttpResponse:
    """The page on which a salon's WhatsApp is linked."""
    if request.method not in ("GET", "HEAD"):
        return pages.method_not_allowed("GET")
    token = request.GET.get("token", "")
    if not token:
        return pages.error("no_token")
    try:
        registrant = tokens.verify(token)
        # Opening the page starts no codes: it names the salon and its owner, and asks first.
        scope = token_scope.load(registrant)
        picture = page_actions.read_snapshot(registrant, viewed=False)
    except (tokens.InvalidToken, token_scope.TokenRevoked) as error:
        log.warning("page refused", why="invalid_token", reason=str(error))
        return pages.error("invalid_token")
    except django.db.Error as error:
        log.error("database does not answer", error=repr(error))
        return pages.error("unavailable")
    start = {
        "token": token,
        "language": get_language(),
        "picture": picture,
        "texts": page_texts.texts(),
        "marketplacePage": settings.YCLIENTS_MARKETPLACE_PAGE,
    }
    owner = token_scope.owner_name(scope, registrant)
    context = {
        "start": start,
        "picture": picture,
        "owner": owner,
        "phone_example": phones.example(scope.region),
    }
    return pages.render("onboarding/page.html", context)
