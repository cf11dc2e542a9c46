"""Reading the link by which a salon owner comes from the marketplace.

Source: YCLIENTS API reference, section Marketplace: `salon_id=N`, or `salon_ids[0]=N&salon_ids[1]=M`, or
`salon_ids[]=N` repeated; `user_data` (base64 of JSON) with `user_data_sign`, both optional.
"""

import re
from dataclasses import dataclass

from django.http import QueryDict

from marketplace.yclients import signing
from marketplace.yclients.signing import BadSignature, BadUserData, MarketplaceUser

MAX_QUERY = 16 * 1024  # bytes
MAX_SALONS = 50
SALON_ID = re.compile(r"[1-9][0-9]{0,11}")
LIST_NAME = re.compile(r"salon_ids(?:\[[0-9]{0,4}\])?")


class BadLink(ValueError):
    """The link does not name salons in a way that could come from the marketplace."""


@dataclass(frozen=True, slots=True)
class RedirectParams:
    """Who comes for which salons; `signed` tells whether YClients vouches for `user`."""

    salon_ids: list[int]
    user: MarketplaceUser
    signed: bool


def read(query: QueryDict, *, partner_token: str) -> RedirectParams:
    """Return what the link says; raise BadLink or BadSignature.

    `user_data` without a signature counts for nothing: anybody could have written it.
    """
    salon_ids = _salon_ids(query)
    user_data, signature = _only(query, "user_data"), _only(query, "user_data_sign")
    if not signature:
        return RedirectParams(salon_ids, MarketplaceUser(), signed=False)
    try:
        decoded = signing.verify(user_data=user_data, signature=signature, partner_token=partner_token)
    except BadUserData as error:
        raise BadSignature("user_data cannot be what was signed") from error
    try:
        return RedirectParams(salon_ids, signing.parse_user(decoded), signed=True)
    except BadUserData as error:
        raise BadLink(str(error)) from error


def _salon_ids(query: QueryDict) -> list[int]:
    texts = [_only(query, "salon_id")] if "salon_id" in query else []
    texts += [text for name in query if LIST_NAME.fullmatch(name) for text in query.getlist(name)]
    if not texts:
        raise BadLink("no salon id")
    if len(texts) > MAX_SALONS:
        raise BadLink("too many salon ids")
    if not all(SALON_ID.fullmatch(text) for text in texts):
        raise BadLink("a salon id is not a positive whole number")
    return list(dict.fromkeys(int(text) for text in texts))


def _only(query: QueryDict, name: str) -> str:
    values = query.getlist(name)
    if len(values) > 1:
        raise BadLink(f"{name} is given more than once")
    return values[0] if values else ""
