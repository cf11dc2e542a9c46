"""What a hint says of a new QR code, so that a page can show it before it has read the row.

The code is a secret, and whoever scans another's code links a phone to a stranger's session. The hint is
therefore encrypted and signed, and names its session and version; a page takes it only onto a row that it has
read and that it follows by one version: then nothing else that the page shows has changed since. A hint that
is kept and sent later brings a code of the past, which is shown no longer than it is good for.
"""

import copy
import json
import uuid
from dataclasses import dataclass
from datetime import datetime

from whatsapp.crypto import encryption
from whatsapp.models import Session

PURPOSE = "code hint"


@dataclass(frozen=True, slots=True)
class CodeHint:
    """What one committed write has put into a session's row."""

    session_id: uuid.UUID
    version: int
    status: str
    qr: str
    qr_expires_at: datetime

    def seal(self) -> bytes:
        """Return the hint as bytes that nobody without our keys can read or make."""
        said = [str(self.session_id), self.version, self.status, self.qr, self.qr_expires_at.isoformat()]
        return encryption.seal(json.dumps(said).encode(), purpose=PURPOSE)

    def follows(self, row: Session) -> bool:
        """The write came right after the one that left `row` as it is."""
        return self.session_id == row.pk and self.version == row.version + 1

    def applied_to(self, row: Session) -> Session:
        """Return a copy of `row` with what was written."""
        changed = copy.copy(row)
        changed.version, changed.status = self.version, self.status
        changed.qr, changed.qr_expires_at = self.qr, self.qr_expires_at
        return changed


def unseal(sealed: object) -> CodeHint | None:
    """Return a hint of ours; None for anything else."""
    plain = encryption.unseal(sealed, purpose=PURPOSE) if isinstance(sealed, bytes) else None
    if plain is None:
        return None
    session_id, version, status, qr, qr_expires_at = json.loads(plain)
    return CodeHint(uuid.UUID(session_id), version, status, qr, datetime.fromisoformat(qr_expires_at))
