"""Tables of what happened when, for support staff's pages."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from config.shared import support


def at_that_time(at: datetime) -> SafeString:
    """`23 November 2026 12:13:25`, UTC, and below it how long ago that was."""
    return format_html("{} {}<br>{}", date_format(at, "j E Y"), f"{at:%H:%M:%S}", support.moment(at))


def table(titles: Sequence[object], rows: Iterable[Sequence[object]]) -> SafeString:
    """An HTML table; cells are escaped, titles may be lazy translations."""
    head = format_html_join("", "<th>{}</th>", ((title,) for title in titles))
    body = format_html_join(
        "", "<tr>{}</tr>", ((format_html_join("", "<td>{}</td>", ((cell,) for cell in row)),) for row in rows)
    )
    text = '<table class="support-history"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>'
    return format_html(text, head, body)
