"""The key ring: a file of mode 0600 made once, or the settings."""

import base64
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.errors import InvalidInput
from gateway.secrets.keys import KEY_FILE, load_keys, signing_key
from gateway.settings import Settings


def test_the_first_start_makes_a_key_that_only_its_owner_reads(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    keys = load_keys(settings)
    path = settings.data_dir / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.data_dir.stat().st_mode) == 0o700
    assert load_keys(settings) == keys
    assert len(keys[0]) == 32


def test_keys_of_the_settings_win_and_keep_their_order(tmp_path: Path) -> None:
    given = [bytes([n]) * 32 for n in (1, 2)]
    text = tuple(SecretStr(base64.urlsafe_b64encode(k).decode()) for k in given)
    assert load_keys(Settings(data_dir=tmp_path, secret_keys=text)) == given
    assert not (tmp_path / KEY_FILE).exists()


def test_a_bad_key_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_keys(Settings(data_dir=tmp_path, secret_keys=(SecretStr("hunter2"),)))
    assert "MANTIK_SECRET_KEYS" in caught.value.detail
    assert "hunter2" not in caught.value.detail


def test_an_empty_file_is_refused_rather_than_replaced(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("\n")
    with pytest.raises(InvalidInput, match="holds no key"):
        load_keys(Settings(data_dir=tmp_path))


def test_the_signing_key_is_not_the_encrypting_one() -> None:
    assert signing_key(b"k" * 32) != b"k" * 32
    assert signing_key(b"k" * 32) != signing_key(b"l" * 32)
