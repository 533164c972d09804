"""The rules of a project: how many days after the end of a run its log, its directory and the run itself go."""

from dataclasses import asdict, dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.retention.rows import RetentionRules
from gateway.schemas.retention import RetentionDays, SetRetention


@dataclass(frozen=True, slots=True)
class Rules:
    """Days; None keeps it for ever."""

    log_days: int | None = None
    site_directory_days: int | None = None
    run_days: int | None = None

    @property
    def view(self) -> RetentionDays:
        return RetentionDays(**self.columns)

    @property
    def columns(self) -> dict[str, int | None]:
        """By their names in the table, the schemas and the audit."""
        return asdict(self)


FOR_EVER = Rules()


def rules_of(found: RetentionRules | SetRetention | None) -> Rules:
    if found is None:
        return FOR_EVER
    return Rules(found.log_days, found.site_directory_days, found.run_days)


async def saved(session: AsyncSession, project_id: UUID) -> Rules:
    """Those of a project, as they are now."""
    return rules_of(await session.get(RetentionRules, project_id, populate_existing=True))
