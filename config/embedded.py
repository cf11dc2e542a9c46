"""Secrets of the embedded default, made once and kept beside its SQLite file."""

import json
import secrets
from pathlib import Path

from cryptography.fernet import Fernet


def load_or_create(path: Path) -> dict[str, str]:
    """Return `{"secret_key", "field_encryption_key"}` from a 0600 JSON file, made on first use.

    Two processes starting at once agree on one file: the file appears whole, by a hard link that
    only one of them can create.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = {
            "secret_key": secrets.token_urlsafe(50),
            "field_encryption_key": Fernet.generate_key().decode(),
        }
        draft = path.with_suffix(f".{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(made))
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            made = json.loads(path.read_text())
        finally:
            draft.unlink()
        return made
    kept: dict[str, str] = json.loads(path.read_text())
    return kept
