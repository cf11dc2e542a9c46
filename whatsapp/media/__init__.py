"""Files of messages: kept encrypted, fetched from WhatsApp, removed, shown."""
