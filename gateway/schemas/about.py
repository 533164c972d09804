"""What the gateway says of itself."""

from typing import Literal

from gateway.schemas.wire import Wire


class Version(Wire):
    name: str
    version: str
    api: str


class Health(Wire):
    """`database` is ok whenever there is an answer with status 200; without tracking the gateway goes on."""

    status: Literal["ok", "degraded"]
    database: Literal["ok"]
    tracking: Literal["ok", "away"]
