"""Sessions, messages and pools for support staff; importing this package registers them."""

from whatsapp.admin import messages, pools, sessions

__all__ = ["messages", "pools", "sessions"]
