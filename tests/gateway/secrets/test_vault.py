"""Secrets at rest: encrypted, bound to their row, readable after a rotation of keys."""

import pytest
from sqlalchemy import select, update

from gateway.db.session import Database
from gateway.errors import Unavailable
from gateway.secrets.rows import Secret
from gateway.secrets.vault import Vault, key_id

OLD, NEW = b"o" * 32, b"n" * 32


async def test_what_is_stored_opens_again_and_is_not_in_the_row(database: Database) -> None:
    vault = Vault([OLD])
    async with database.transaction() as session:
        secret_id = await vault.store(session, "sésame\n")
    async with database.reading() as session:
        row = await session.get_one(Secret, secret_id)
        assert b"same" not in row.ciphertext
        assert await vault.open(session, secret_id) == "sésame\n"


async def test_rotation_encrypts_again_and_then_the_old_key_can_go(database: Database) -> None:
    async with database.transaction() as session:
        ids = [await Vault([OLD]).store(session, f"secret {n}") for n in range(3)]
    async with database.transaction() as session:
        assert await Vault([NEW, OLD]).rotate(session, limit=2) == 2
    async with database.transaction() as session:
        assert await Vault([NEW, OLD]).rotate(session) == 1
        assert await Vault([NEW, OLD]).rotate(session) == 0
    async with database.reading() as session:
        assert [await Vault([NEW]).open(session, i) for i in ids] == ["secret 0", "secret 1", "secret 2"]
        assert set(await session.scalars(select(Secret.key_id))) == {key_id(NEW)}


async def test_a_missing_key_is_named_without_telling_it(database: Database) -> None:
    async with database.transaction() as session:
        secret_id = await Vault([OLD]).store(session, "secret")
    async with database.reading() as session:
        with pytest.raises(Unavailable, match=rf"{key_id(OLD)}.*MANTIK_SECRET_KEYS"):
            await Vault([NEW]).open(session, secret_id)


async def test_a_ciphertext_moved_to_another_row_does_not_open(database: Database) -> None:
    vault = Vault([OLD])
    async with database.transaction() as session:
        mine, other = await vault.store(session, "mine"), await vault.store(session, "other")
        stolen = (await session.get_one(Secret, other)).ciphertext
        await session.execute(update(Secret).where(Secret.id == mine).values(ciphertext=stolen))
    async with database.reading() as session:
        with pytest.raises(Unavailable, match="damaged"):
            await vault.open(session, mine)


async def test_a_removed_secret_is_gone(database: Database) -> None:
    vault = Vault([OLD])
    async with database.transaction() as session:
        secret_id = await vault.store(session, "secret")
        await vault.remove(session, secret_id)
        await vault.remove(session, secret_id)
    async with database.reading() as session:
        with pytest.raises(Unavailable, match="gone"):
            await vault.open(session, secret_id)


@pytest.mark.parametrize("keys", [[], [b"short"]])
def test_a_vault_without_a_good_key_is_refused(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(keys)
