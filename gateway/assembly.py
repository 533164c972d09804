"""Opening all doors of one gateway process, in order, and closing them in reverse."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

from backends import registry
from gateway.connections import service as connections
from gateway.connections.issuers import SETTING, TokenIssuers
from gateway.context import Context
from gateway.db.session import Database
from gateway.engine.engine import Engine, new_owner
from gateway.engine.parts import Parts
from gateway.engine.sites import Sites
from gateway.git import GitStore
from gateway.git_hosts import GitHosts
from gateway.logs.blobs import DirectoryBlobs
from gateway.migrations import upgrade
from gateway.mlproject import ProjectReader
from gateway.runs.plan import Planner
from gateway.schemas.sites import CreateConnection, CreateSite
from gateway.secrets.keys import load_keys, signing_key
from gateway.secrets.vault import Vault
from gateway.settings import Settings
from gateway.sites import service as sites
from gateway.subscriptions.messengers import messengers_of
from gateway.tracking.client import TrackingClient
from gateway.tracking.server import MlflowServer
from gateway.users.caller import Caller
from gateway.users.service import ensure_first_admin
from gateway.users.tokens import AccessTokens


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway with its engine running. `first_login` (name, password) is there at the first start only."""

    context: Context
    first_login: tuple[str, str] | None = field(repr=False)


@asynccontextmanager
async def assembled(settings: Settings) -> AsyncIterator[Gateway]:
    """Keys, migrations, first admin, MLflow, engine. Raises GatewayError with one clear sentence."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = load_keys(settings)
    await upgrade(settings.database_url)
    async with AsyncExitStack() as stack:
        db = Database(settings.database_url, pool_size=settings.database_pool)
        stack.push_async_callback(db.close)
        vault = Vault(keys)
        await _rotate(db, vault)
        tracking = await _tracking(settings, stack)
        projects = ProjectReader()
        stack.callback(projects.close)
        git = GitStore(
            settings.data_dir / "git",
            local_paths_allowed=settings.local_git_allowed,
            private=settings.data_dir,
            known_hosts=settings.git_known_hosts,
            max_code_bytes=settings.max_code_bytes,
            max_repository_bytes=settings.max_cache_bytes,
            hosts=GitHosts(settings.allowed_git_hosts),
        )
        issuers = TokenIssuers(GitHosts(settings.allowed_token_hosts, setting=SETTING))
        stack.push_async_callback(issuers.aclose)
        planner = Planner(db, vault, git, projects, registry.kind)
        stack.push_async_callback(planner.aclose)
        context = Context(
            settings=settings,
            db=db,
            vault=vault,
            access=AccessTokens([signing_key(key) for key in keys]),
            blobs=DirectoryBlobs(settings.data_dir / "blobs"),
            tracking=tracking,
            planner=planner,
            issuers=issuers,
            messengers=messengers_of(settings),
        )
        first_login = await _first_login(context)
        engine = _engine(context)
        await engine.start()
        stack.push_async_callback(engine.stop)
        yield Gateway(replace(context, engine=engine), first_login)


async def _rotate(db: Database, vault: Vault) -> None:
    """Secrets of older keys go over to the first one, so that the others can be taken out after this start."""
    more = True
    while more:
        async with db.transaction() as session:
            more = await vault.rotate(session) > 0


def _engine(context: Context) -> Engine:
    sites_open = Sites(context.db, context.vault, context.issuers)
    doors = (context.settings, context.db, sites_open, context.planner, context.blobs, context.tracking)
    return Engine(Parts(new_owner(), *doors, messengers=context.messengers))


async def _tracking(settings: Settings, stack: AsyncExitStack) -> TrackingClient:
    """The client of the operator's MLflow, or of one started here."""
    if settings.tracking_uri:
        client = TrackingClient(settings.tracking_uri, seconds=settings.tracking_timeout_seconds)
    else:
        server = await stack.enter_async_context(MlflowServer(settings.data_dir / "mlflow"))
        client = TrackingClient(server.uri, seconds=settings.tracking_timeout_seconds, socket=server.socket)
    stack.push_async_callback(client.close)
    return client


async def _first_login(context: Context) -> tuple[str, str] | None:
    settings = context.settings
    given = settings.first_admin_password.get_secret_value() if settings.first_admin_password else None
    made = await ensure_first_admin(context.db, context.passwords, settings.first_admin, given)
    if made is None:
        return None
    user_id, password = made
    if settings.embedded:
        await _add_this_machine(context, user_id)
    return settings.first_admin, password


async def _add_this_machine(context: Context, admin_id: UUID) -> None:
    """Site `local` and a connection to it, so that an embedded gateway runs something from the first minute."""
    settings = context.settings
    admin = Caller(admin_id, settings.first_admin, is_admin=True)
    directory = str(settings.data_dir.absolute() / "work")
    site = await sites.create(context.db, admin, CreateSite(name="local", kind="local", work_directory=directory))
    body = CreateConnection(
        connection_name="local", connection_provider="Local", auth_method="None", site_id=site.site_id
    )
    await connections.create(context.db, context.vault, settings, context.issuers, admin, admin_id, body)
