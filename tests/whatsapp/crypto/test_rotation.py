from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from marketplace.models import Company
from whatsapp.crypto import rotation
from whatsapp.crypto.encryption import UndecryptableError, lookup_digest
from whatsapp.models import Session, StoredCredentials

pytestmark = pytest.mark.django_db
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
STORE = bytes(range(256)) * 40


@pytest.fixture
def old_rows(settings: Settings) -> Company:
    """A salon with a linked session whose secrets were all written with the old key."""
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    session = Session.objects.create(qr="2@old,qr,text", jid="79990001122:3@s.whatsapp.net")
    StoredCredentials.objects.create(session=session, store=STORE, checksum="c" * 64, taken_at=timezone.now())
    company = Company.objects.create(
        salon_id=101, session=session, api_key="a" * 64, api_key_digest=lookup_digest("a" * 64)
    )
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    return company


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("rotate_encryption_keys", *arguments, stdout=out)
    return out.getvalue()


def line_of(output: str, column: str) -> str:
    return next(line for line in output.splitlines() if line.startswith(f"{column}:"))


def test_every_encrypted_column_is_known() -> None:
    assert {str(column) for column in rotation.columns()} >= {
        "whatsapp.Session.qr",
        "whatsapp.Session.pairing_code",
        "whatsapp.StoredCredentials.store",
        "marketplace.Company.api_key",
        "marketplace.Company.webhook_secret",
    }


def test_after_a_rotation_the_old_key_can_be_removed(old_rows: Company, settings: Settings) -> None:
    assert "1 rewritten" in line_of(run(), "whatsapp.StoredCredentials.store")
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert Company.objects.get(pk=old_rows.pk).api_key == "a" * 64
    assert Session.objects.get().qr == "2@old,qr,text"
    assert StoredCredentials.objects.get(session=old_rows.session_id).store == STORE


def test_without_a_rotation_the_old_key_cannot_be_removed(old_rows: Company, settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    with pytest.raises(UndecryptableError):
        Company.objects.get(pk=old_rows.pk)


def test_a_second_rotation_finds_nothing_to_do(old_rows: Company) -> None:
    run()
    assert "1 on the first key, 0 on old keys, 0 rewritten" in line_of(run(), "marketplace.Company.api_key")


def test_check_changes_nothing_and_fails_while_old_keys_are_in_use(old_rows: Company) -> None:
    for _twice in range(2):
        with pytest.raises(CommandError, match="3 values are still on old keys"):
            run("--check")
    run()
    run("--check")


def test_check_counts_what_no_key_opens(old_rows: Company, settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    with pytest.raises(CommandError, match="3 values cannot be decrypted"):
        run("--check")


def test_a_damaged_row_does_not_stop_the_others(old_rows: Company, settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    Session.objects.create(qr="written with a key that is gone")
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    with pytest.raises(CommandError, match="1 values cannot be decrypted"):
        run()
    assert rotation.survey(_column("whatsapp.Session.qr")).current == 1


def test_a_value_written_meanwhile_stays(old_rows: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = rotation._replace

    def write_first(column: rotation.Column, key: Any, *rest: Any) -> int:
        Session.objects.filter(pk=key).update(qr="2@newer,qr,text")
        return replace(column, key, *rest)

    monkeypatch.setattr(rotation, "_replace", write_first)
    count = rotation.rotate(_column("whatsapp.Session.qr"))
    assert (count.rewritten, count.overtaken) == (0, 1)
    assert Session.objects.get().qr == "2@newer,qr,text"


def test_more_rows_than_a_batch_are_all_rewritten(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    for number in range(rotation.BATCH * 2 + 1):
        Session.objects.create(qr=f"2@{number}")
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    assert rotation.rotate(_column("whatsapp.Session.qr")).rewritten == rotation.BATCH * 2 + 1
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert len({session.qr for session in Session.objects.all()}) == rotation.BATCH * 2 + 1


def test_digests_follow_the_secret_key(old_rows: Company, settings: Settings) -> None:
    run()
    settings.SECRET_KEY = "another-secret-key-of-the-tests-0123456789"
    with pytest.raises(CommandError, match="1 values are still on old keys"):
        run("--check")
    assert "1 rewritten" in line_of(run(), "marketplace.Company.api_key_digest")
    assert Company.objects.get().api_key_digest == lookup_digest("a" * 64)
    run("--check")


def test_a_key_given_anew_meanwhile_keeps_its_digest(
    old_rows: Company, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SECRET_KEY = "another-secret-key-of-the-tests-0123456789"
    unchanged = rotation._unchanged
    newer = lookup_digest("b" * 64)

    def write_first(column: rotation.Column, key: Any, ciphertext: bytes) -> Any:
        Company.objects.update(api_key="b" * 64, api_key_digest=newer)
        return unchanged(column, key, ciphertext)

    monkeypatch.setattr(rotation, "_unchanged", write_first)
    count = rotation.rotate_digests(_column("marketplace.Company.api_key"))
    assert (count.rewritten, count.overtaken) == (0, 1)
    assert Company.objects.get().api_key_digest == newer


def test_a_generated_key_can_be_used(settings: Settings) -> None:
    out = StringIO()
    call_command("generate_encryption_key", stdout=out)
    settings.FIELD_ENCRYPTION_KEYS = [out.getvalue().strip()]
    session = Session.objects.create(qr="2@readable")
    assert Session.objects.get(pk=session.pk).qr == "2@readable"


def _column(name: str) -> rotation.Column:
    return next(column for column in rotation.columns() if str(column) == name)
