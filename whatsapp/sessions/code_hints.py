"""What a hint says of a new QR code, so that a page can show it before it has read the row.

The code is a secret, and whoever scans another's code links a phone to a stranger's session. The hint is
therefore encrypted and signed, and names its session, version and time; a page takes it only onto a row that
it has read and that it follows by one version: then nothing else that the page shows has changed since.
"""

import copy
import json
import uuid
from dataclasses import dataclass
from datetime import datetime

from whatsapp.crypto import encryption
from whatsapp.models import Session

PURPOSE = "code hint"
LASTS = 30  # seconds; what is older than that is read from the row


@dataclass(frozen=True, slots=True)
class CodeHint:
    """What one committed write has put into a session's row."""

    session_id: uuid.UUID
    version: int
    status: str
    qr: str
    qr_expires_at: datetime

    def seal(self) -> str:
        """Return the hint as text that nobody without our keys can read or make."""
        said = [str(self.session_id), self.version, self.status, self.qr, self.qr_expires_at.isoformat()]
        return encryption.seal(json.dumps(said).encode(), purpose=PURPOSE).decode()

    def follows(self, row: Session) -> bool:
        """The write came right after the one that left `row` as it is."""
        return self.session_id == row.pk and self.version == row.version + 1

    def applied_to(self, row: Session) -> Session:
        """Return a copy of `row` with what was written."""
        changed = copy.copy(row)
        changed.version, changed.status = self.version, self.status
        changed.qr, changed.qr_expires_at = self.qr, self.qr_expires_at
        return changed


def unseal(sealed: str) -> CodeHint | None:
    """Return a hint of the last LASTS seconds; None for any other text."""
    plain = encryption.unseal(sealed, purpose=PURPOSE, seconds=LASTS)
    if plain is None:
        return None
    session_id, version, status, qr, qr_expires_at = json.loads(plain)
    return CodeHint(uuid.UUID(session_id), version, status, qr, datetime.fromisoformat(qr_expires_at))
