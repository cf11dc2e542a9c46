"""Sessions, messages with their files, and pools for support staff; importing this package registers them."""

from whatsapp.admin import media, messages, overview, pools, sessions

__all__ = ["media", "messages", "overview", "pools", "sessions"]
