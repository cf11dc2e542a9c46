"""The page that renders the schema: Swagger UI, served from our own host."""

from collections.abc import Callable
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.http.response import HttpResponseBase

View = Callable[..., HttpResponseBase]


def documentation_policy(view: View) -> View:
    """Swagger UI sets styles on its elements; scripts stay limited to our own files. The page shows no data
    of anybody."""
    replaced: Any = csp_replace(
        {"style-src": [SELF, UNSAFE_INLINE], "script-src": [SELF], "object-src": [NONE]}
    )
    decorated: View = replaced(view)
    return decorated
