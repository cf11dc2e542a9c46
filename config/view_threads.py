"""Runs every synchronous view in a bounded class of threads, however its client behaves.

Under ASGI Django gives each request a thread of its own, without a bound, and when a client hangs up during a
long view the server kills the request: the thread's database connection then never returns to the pool. Here
a view ends in its thread, which gives the connection back, whatever became of the request.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from config.shared.thread_budgets import RETRY_AFTER, BudgetUsedUp, budget_of
from onboarding import error_views

log = structlog.get_logger("web")


class ViewThreadsMiddleware:
    """The last of the middlewares: it calls the view itself. Without an event loop it does nothing."""

    async_capable = True
    sync_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
            self.process_view = _run_in_thread

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        response: HttpResponse | Awaitable[HttpResponse] = self.get_response(request)
        return response


async def _run_in_thread(
    request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
) -> HttpResponse | None:
    if iscoroutinefunction(view):
        return None
    budget = budget_of(view)
    try:
        return await budget.run(_answer, view, request, args, kwargs)
    except BudgetUsedUp:
        log.warning("no thread free", budget=budget.name, path=request.path)
        response = error_views.busy(request)
        response["Retry-After"] = str(RETRY_AFTER)
        return response


def _answer(view: Callable[..., Any], request: HttpRequest, args: Any, kwargs: Any) -> HttpResponse:
    response: Any = view(request, *args, **kwargs)
    # Lazily rendered answers read the database, too.
    if callable(getattr(response, "render", None)):
        response = response.render()
    return response  # type: ignore[no-any-return]
