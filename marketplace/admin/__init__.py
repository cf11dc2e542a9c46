"""Salons and all that belongs to them, for support staff; importing this package registers it."""

from marketplace.admin import (
    access,
    api_keys,
    bookings,
    client_data,
    companies,
    comparison,
    forwarded_messages,
    forwarding,
    forwarding_changes,
    messages,
    opt_outs,
    overview,
    payments,
    sessions,
    welcome,
)

__all__ = [
    "access",
    "api_keys",
    "bookings",
    "client_data",
    "companies",
    "comparison",
    "forwarded_messages",
    "forwarding",
    "forwarding_changes",
    "messages",
    "opt_outs",
    "overview",
    "payments",
    "sessions",
    "welcome",
]
