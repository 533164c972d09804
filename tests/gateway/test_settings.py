"""Settings: from the environment, each described, errors that name the variable."""

from pathlib import Path

import pytest

from gateway.errors import InvalidInput
from gateway.settings import PREFIX, Settings, load


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_defaults_are_one_embedded_gateway(tmp_path: Path) -> None:
    settings = load(data_dir=tmp_path)
    assert settings.embedded
    assert settings.database_url == f"sqlite+aiosqlite:///{tmp_path}/gateway.db"
    assert settings.public_url == "http://127.0.0.1:8080"
    assert not settings.local_git_allowed
    assert not settings.local_open


def test_the_environment_is_read_and_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANTIK_PORT", "9000")
    monkeypatch.setenv("MANTIK_HOST", "")
    monkeypatch.setenv("MANTIK_PUBLIC_URL", "https://hpc.example.org/")
    monkeypatch.setenv("MANTIK_ALLOWED_GIT_HOSTS", "a.example, b.example")
    monkeypatch.setenv("MANTIK_DATABASE_URL", "postgresql+asyncpg://db/mantik")
    settings = load()
    assert (settings.port, settings.host, settings.public_url) == (9000, "127.0.0.1", "https://hpc.example.org")
    assert settings.allowed_git_hosts == ("a.example", "b.example")
    assert not settings.embedded


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MANTIK_PORT", "70000", "MANTIK_PORT: "),
        ("MANTIK_PUBLIC_URL", "hpc.example.org", "MANTIK_PUBLIC_URL: must begin with http"),
        ("MANTIK_LOCAL_OPEN", "perhaps", "MANTIK_LOCAL_OPEN: "),
        ("MANTIK_LOG_LEVEL", "loud", "MANTIK_LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_an_error_names_the_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput) as caught:
        load()
    assert words in caught.value.detail


def test_secrets_are_not_in_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANTIK_SECRET_KEYS", "S3cret")
    monkeypatch.setenv("MANTIK_FIRST_ADMIN_PASSWORD", "S3cret")
    assert "S3cret" not in repr(load())
