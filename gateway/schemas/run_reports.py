"""What a run tells of where it runs, with the published names."""

from pydantic import Field

from gateway.schemas.wire import Body


class Gpu(Body):
    name: str = Field(default="", max_length=200)
    id: str = Field(default="", max_length=200)
    driver: str = Field(default="", max_length=200)
    total_memory: str = Field(default="", max_length=200)
    """As its driver says it: MiB."""


class Infrastructure(Body):
    """Body of PUT .../infrastructure: one machine."""

    os: str = Field(default="", max_length=200)
    cpu_cores: int | None = Field(default=None, ge=0, le=2**31)
    """Logical ones; None where the machine does not say."""
    gpu_count: int = Field(default=0, ge=0, le=10_000)
    gpu_info: list[Gpu] = Field(default=[], max_length=64)
    hostname: str = Field(min_length=1, max_length=255)
    memory_gb: str = Field(default="", max_length=200)
    """Of the machine, in words: `503.21 GB`."""
    platform: str = Field(default="", max_length=500)
    processor: str = Field(default="", max_length=200)
    python_version: str = Field(default="", max_length=200)
    python_executable: str = Field(default="", max_length=4000)


class NotebookSource(Body):
    """Body of PUT .../notebook-source."""

    location: str = Field(min_length=1, max_length=4000)
    """A path or a URL."""
    version: str | None = Field(default=None, max_length=500)
    """A commit, where there is one."""
    provider: str = Field(default="", max_length=200)
    """Jupyter or Colab."""
