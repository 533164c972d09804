"""The kinds of sites a config can name."""

from pydantic import Field

from compute_backend_configs.addresses import Hostname, Port, Url
from compute_backend_configs.fields import Name, Section


class FirecrestSite(Section):
    """A site behind FirecREST."""

    api_url: Url = Field(alias="ApiUrl", description="Address of the FirecREST API.")
    token_url: Url = Field(alias="TokenUrl", description="Address that hands out access tokens.")
    machine: Name = Field(alias="Machine", description="Name of the machine at that API.")


class SshSite(Section):
    """A Slurm site reached over SSH; user and key come from a connection."""

    hostname: Hostname = Field(alias="Hostname", description="Name or address of the login node.")
    port: Port = Field(default=22, alias="Port", description="Port of its SSH server.")


class LocalSite(Section):
    """The machine that the gateway runs on; it has no keys."""
