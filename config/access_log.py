"""Daphne's access log, without query strings and without the salons' webhook secrets."""

from typing import Any

from daphne.access import AccessLogGenerator

from config.shared.masking import mask_text


def hide_query_strings() -> None:
    """Make Daphne's access log leave out the query, where the onboarding token travels, and mask the path.

    Daphne's command writes this log by default, has no setting for its format, and puts the whole
    address into it.
    """
    write_entry = AccessLogGenerator.write_entry

    def write_path_only(self: Any, host: str, date: Any, request: str, *args: Any, **kwargs: Any) -> None:
        write_entry(self, host, date, mask_text(request.partition("?")[0]), *args, **kwargs)

    AccessLogGenerator.write_entry = write_path_only
