"""Opening the doors: keys rotate at a start, and the first start is told apart from the second."""

import base64
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import select

from gateway.assembly import assembled
from gateway.secrets.rows import Secret
from gateway.secrets.vault import key_id
from gateway.settings import Settings

OLD, NEW = b"o" * 32, b"n" * 32


def settings(directory: Path, *keys: bytes) -> Settings:
    texts = tuple(SecretStr(base64.urlsafe_b64encode(key).decode()) for key in keys)
    return Settings(data_dir=directory, secret_keys=texts, tracking_uri="http://127.0.0.1:9")


async def test_a_start_with_a_new_key_first_makes_the_old_one_superfluous(tmp_path: Path) -> None:
    async with assembled(settings(tmp_path, OLD)) as gateway:
        assert gateway.first_login is not None
        assert gateway.first_login[1] not in repr(gateway)
        async with gateway.context.db.transaction() as session:
            secret_id = await gateway.context.vault.store(session, "kept")
    async with assembled(settings(tmp_path, NEW, OLD)) as gateway:
        assert gateway.first_login is None
        async with gateway.context.db.reading() as session:
            assert list(await session.scalars(select(Secret.key_id))) == [key_id(NEW)]
    async with assembled(settings(tmp_path, NEW)) as gateway, gateway.context.db.reading() as session:
        assert await gateway.context.vault.open(session, secret_id) == "kept"
