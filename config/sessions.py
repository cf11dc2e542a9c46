"""How long a sign-in lasts: half an hour without a request (the cookie's age), 12 hours in all."""

import time
from datetime import timedelta
from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

SIGNED_IN_AT = "signed_in_at"  # Unix time in the session
LONGEST = timedelta(hours=12)


def is_too_old(session: SessionBase) -> bool:
    """The sign-in is older than 12 hours, or of unknown age."""
    return time.time() - float(session.get(SIGNED_IN_AT, 0)) > LONGEST.total_seconds()


def _note_time(request: HttpRequest, **_more: Any) -> None:
    request.session[SIGNED_IN_AT] = int(time.time())


user_logged_in.connect(_note_time, dispatch_uid="time of the sign-in")
