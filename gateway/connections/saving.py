"""What is saved is checked, where a check can succeed."""

from contextlib import suppress

from gateway.connections.check import check
from gateway.connections.issuers import TokenIssuers
from gateway.connections.views import show
from gateway.db.session import Database
from gateway.errors import SiteProblem
from gateway.schemas.sites import ConnectionView
from gateway.secrets.vault import Vault
from gateway.users.caller import Caller


async def checked(
    db: Database, vault: Vault, issuers: TokenIssuers, caller: Caller, saved: ConnectionView
) -> ConnectionView:
    """The connection after one try; a failure stands in `lastCheck`, the connection stays.

    A key that the gateway just made is not tried: the owner has to bring the public part to the site first.
    """
    if saved.site_id is None or saved.public_key is not None:
        return saved
    user_id = saved.user.user_id
    with suppress(SiteProblem):
        await check(db, vault, issuers, caller, user_id, saved.connection_id)
    return await show(db, caller, user_id, saved.connection_id)
