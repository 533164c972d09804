"""The page of the REST API, and its OpenAPI document."""

import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from gateway.api.app import PREFIX, create_app
from gateway.context import Context
from gateway.reference.markdown import code, table
from gateway.reference.roles import ROLES
from gateway.settings import Settings

_HEAD = f"""\
# REST

Made by `python -m gateway.reference`; do not edit. The same as OpenAPI: [openapi.json](openapi.json), which a gateway
serves at `{PREFIX}/openapi.json`.

All paths begin with `{PREFIX}`. JSON is camelCase. Log in with `Authorization: Bearer TOKEN`; the token comes from
`POST /mantik/tokens/create`, or is an API token. Listings come in pages: `nextCursor` of one is `cursor` of the next.
Errors: [states, conditions, reasons, errors](states-and-reasons.md#errors-of-the-api).

"Least role" is one in the project; who may not see the project is told that it is not there. A run token reaches
its own run only, where the column says so. `{{runId}}` takes MLflow's id of a run too; one that no run of the project
has, or that several claim, is answered as not found. What the tracking proxy takes is in
[routes of the tracking server](tracking-routes.md).
"""
_METHODS = ("get", "post", "put", "patch", "delete")


class Operation(NamedTuple):
    """One method of one path; `path` is relative to the prefix."""

    method: str
    path: str
    name: str
    group: str
    query: tuple[str, ...]
    headers: tuple[str, ...]
    text: str


def page() -> str:
    """The whole page, in Markdown."""
    groups: dict[str, list[Operation]] = {}
    for operation in operations():
        groups.setdefault(operation.group, []).append(operation)
    parts = [_HEAD]
    head = ("method", "path", "operation", "least role", "run token", "query", "notes")
    for name, found in groups.items():
        parts += [f"## {name}", "", table(head, map(_row, found)), ""]
    return "\n".join(parts)


def document() -> str:
    """The OpenAPI document as JSON."""
    return json.dumps(_document(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def operations() -> Iterator[Operation]:
    """Every operation of the document, in its order."""
    for path, item in _document()["paths"].items():
        for method in (m for m in _METHODS if m in item):
            yield _operation(method, path, item[method])


def _document() -> Mapping[str, Any]:
    # The document depends on the code alone: neither on settings of this machine nor on an open database.
    context = SimpleNamespace(settings=Settings.model_construct())
    return create_app(cast(Context, context)).openapi()


def _operation(method: str, path: str, found: Mapping[str, Any]) -> Operation:
    parameters = found.get("parameters", [])
    query, headers = (tuple(str(p["name"]) for p in parameters if p["in"] == place) for place in ("query", "header"))
    group = str(found["tags"][0]).capitalize()
    text = str(found.get("description", ""))
    return Operation(method.upper(), path.removeprefix(PREFIX), found["operationId"], group, query, headers, text)


def _row(operation: Operation) -> tuple[str, ...]:
    access = ROLES[operation.name]
    headers = f" Headers: {code(operation.headers)}." if operation.headers else ""
    return (
        operation.method,
        f"`{operation.path}`",
        f"`{operation.name}`",
        access.least + access.more,
        "yes" if access.run else "-",
        code(operation.query),
        f"{operation.text}{headers}",
    )
