"""The Python client of the gateway: `Client`, and `AsyncClient` for asyncio."""

from gateway.client.client import AsyncClient, Client
from gateway.client.logs import LogEvent
from gateway.client.retries import Retries
from gateway.client.run_flows import RunFilter, StillLive

__all__ = ["AsyncClient", "Client", "LogEvent", "Retries", "RunFilter", "StillLive"]
