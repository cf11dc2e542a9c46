"""Linked WhatsApp devices and their messages. Knows nothing of the booking system behind them."""
