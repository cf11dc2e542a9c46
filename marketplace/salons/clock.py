"""By which clock a number keeps to the daytime: that of its salon, as YClients tells it."""

from zoneinfo import ZoneInfo

from marketplace.models import Company
from whatsapp.messages import limits
from whatsapp.models import SendingLimits


def follow(company: Company, *, before: str = "") -> None:
    """Set the number's clock by the salon's, within the caller's transaction.

    A clock that support has set stays, and so does that of the first of several branches on one number;
    `before` is the salon's former time zone, which the number follows to the new one.
    """
    session, name = company.session, company.timezone_name
    if session is None or not name:
        return
    row = SendingLimits.objects.filter(session=session).first()
    known = row.timezone_name if row else ""
    if known != name and known in ("", before):
        limits.set_timezone(session=session, timezone_name=name)


def zone_of(company: Company) -> ZoneInfo:
    """The salon's time zone, for telling its day from the next; Moscow's while YClients has not told it."""
    return limits.zone_of(company.timezone_name)
