"""Sessions, messages and pools for support staff; importing this package registers them."""

from whatsapp.admin import messages, overview, pools, sessions

__all__ = ["messages", "overview", "pools", "sessions"]
