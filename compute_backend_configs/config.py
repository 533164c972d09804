"""The compute backend config: which site, which surroundings, which resources."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from compute_backend_configs.addresses import Url
from compute_backend_configs.consistency import contradictions
from compute_backend_configs.environment import Environment
from compute_backend_configs.fields import Line, Lines, Section, fault
from compute_backend_configs.resources import Resources
from compute_backend_configs.sites import FirecrestSite, LocalSite, SshSite

Kind = Literal["unicore", "firecrest", "ssh", "local", "site"]


def read_section(value: object) -> object:
    """A key without a value is an empty mapping."""
    return {} if value is None else value


class ComputeBackendConfig(Section):
    """Where and how a project runs. Exactly one site; `Resources` except with `Local`."""

    unicore_api_url: Url | None = Field(
        default=None, alias="UnicoreApiUrl", description="Address of a site's UNICORE/X REST API."
    )
    firecrest: FirecrestSite | None = Field(default=None, alias="Firecrest", description="A site behind FirecREST.")
    ssh: SshSite | None = Field(default=None, alias="SSH", description="A Slurm site reached over SSH.")
    local: Annotated[LocalSite | None, BeforeValidator(read_section)] = Field(
        default=None, alias="Local", description="The gateway's own machine: `Local: {}`."
    )
    site: Line | None = Field(default=None, alias="Site", description="Name of a site stored in the gateway.")
    environment: Annotated[Environment, BeforeValidator(read_section)] = Field(
        default=Environment(), alias="Environment", description="What surrounds the command."
    )
    resources: Annotated[Resources, BeforeValidator(read_section)] = Field(
        default=Resources(), alias="Resources", description="What the job asks for; required except with `Local`."
    )
    tracking: Literal["local", "direct"] | None = Field(
        default=None,
        alias="Tracking",
        description="Where the job tracks: `local`, beside itself and copied by the gateway, also when the network "
        "fails; `direct`, over HTTP to the gateway. Without: as the site says.",
    )
    exclude: Lines = Field(default=(), alias="Exclude", description="Patterns of project files that are not sent.")

    @model_validator(mode="after")
    def free_of_contradictions(self) -> "ComputeBackendConfig":
        found = [f"{'.'.join(map(str, one.path))} {one.message}".strip() for one in contradictions(self.to_published())]
        if found:
            raise fault("; ".join(found))
        return self

    @property
    def kind(self) -> Kind:
        given = (self.unicore_api_url, self.firecrest, self.ssh, self.local, self.site)
        kinds: tuple[Kind, ...] = get_args(Kind)
        return next(kind for kind, value in zip(kinds, given, strict=True) if value is not None)

    def default_variables(self) -> dict[str, str]:
        """Variables the job gets unless the config sets them: `SRUN_CPUS_PER_TASK`, as the published client did.

        Slurm 22.05 and later no longer pass `--cpus-per-task` of the job on to `srun`.
        """
        asked = self.resources
        cpus = asked.layout.cpus_per_task or asked.cpus_per_node
        if cpus is None or "SRUN_CPUS_PER_TASK" in self.environment.variables:
            return {}
        return {"SRUN_CPUS_PER_TASK": str(cpus)}

    def to_published(self) -> dict[str, object]:
        """The config as JSON data in the published spelling: parsing it gives an equal config.

        Sizes and times carry their unit and older spellings are gone. Only the advice about a lone `CPUsPerNode` comes
        again, for it stays: written out, its `SRUN_CPUS_PER_TASK` would win over a value that the site sets.
        """
        data: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        if self.ssh is not None:
            data["SSH"]["Port"] = self.ssh.port
        return data
