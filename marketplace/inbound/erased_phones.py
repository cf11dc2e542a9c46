"""The keyed hash that stands for a phone whose owner's data was erased.

A phone has too few digits for a plain hash: all of them could be tried. The key is made once and kept
encrypted, and so is rewritten by `rotate_encryption_keys` like everything else.
"""

import hashlib
import hmac
import secrets

from marketplace.models import PhoneHashKey


def phone_hash(phone: str) -> str:
    """Return the HMAC-SHA256 of a phone (digits only) in hex. One query."""
    row = PhoneHashKey.objects.filter(pk=1).first()
    if row is None:
        row, _made = PhoneHashKey.objects.get_or_create(pk=1, defaults={"key": secrets.token_hex(32)})
    return hmac.new(row.key.encode(), phone.encode(), hashlib.sha256).hexdigest()
