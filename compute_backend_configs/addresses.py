"""Field types for places on the network."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from compute_backend_configs.fields import fault, read_name, read_whole_number
from compute_backend_configs.node import show

HOST_AND_PORT = re.compile(r"([^:\[\]]+|\[.*\]):\d*")


def read_url(value: object) -> str:
    text = read_name(value)
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
        parts = urlsplit("")
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise fault("must not hold a user or password; those belong into a connection", None, "a URL without login")
    if not known:
        raise fault(
            f"must be an address that starts with https:// or http://, not {show(text)}", text, "an http(s) URL"
        )
    return text


def read_hostname(value: object) -> str:
    text = read_name(value)
    if not re.fullmatch(r"[\w:.\[][\w:.\[\]%-]*", text):
        raise fault(f"must be the name or address of a host, without user or path, not {show(text)}", text, "a host")
    if HOST_AND_PORT.fullmatch(text):
        raise fault(f"must not hold a port, which is the key `Port`: {show(text)}", text, "a host")
    return text


def read_port(value: object) -> int:
    return read_whole_number(value, 1, 65535)


Hostname = Annotated[str, BeforeValidator(read_hostname)]
Url = Annotated[str, BeforeValidator(read_url), Field(json_schema_extra={"format": "uri"})]
Port = Annotated[int, BeforeValidator(read_port), Field(json_schema_extra={"minimum": 1, "maximum": 65535})]
