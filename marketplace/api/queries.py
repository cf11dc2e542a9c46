"""Which rows an API key may see."""

from collections.abc import Iterable
from functools import reduce
from operator import or_

from django.db.models import Q, QuerySet

from marketplace.models import Company
from whatsapp.models import Message


def visible_messages(companies: Iterable[Company]) -> QuerySet[Message]:
    """What was sent for these salons and what clients wrote to their numbers.

    Branches may share a number: of what went out only the messages that name one of the salons count.
    """
    salons = list(companies)
    sessions = [company.session_id for company in salons if company.session_id]
    own = reduce(or_, (Q(external_id__startswith=f"{company.salon_id}:") for company in salons))
    mine = Q(direction=Message.Direction.IN) | (Q(direction=Message.Direction.OUT) & own)
    rows = Message.objects.filter(mine, session_id__in=sessions).select_related("media", "location")
    return rows.defer("callback_url", "media__key", "media__reference")
