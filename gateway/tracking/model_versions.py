"""The registry of MLflow: registered models and their versions, of which ours are found by their tags."""

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.tracking.client import MOST_TAG, TrackingClient, TrackingRefused

MODEL_TAG = "mantik.modelId"
"""Holds the gateway's id of a trained model: `model-versions/create` is not idempotent, so we search by it."""
PROJECT_TAG = "mantik.projectId"
PAGE = 500
_OF_VERSION = re.compile(r"models:/+[^/]+/[^/]+")


@dataclass(frozen=True, slots=True)
class Version:
    name: str
    """Of the registered model, as it is in MLflow."""
    number: str
    tags: Mapping[str, str]
    source: str = ""
    """As its maker gave it."""

    @property
    def is_copy(self) -> bool:
        """Made by MLflow's own client of another version, with all its tags. The gateway makes none so."""
        return is_version(self.source)


def is_version(source: str) -> bool:
    """Whether it names a version of a registered model, and not a logged model or files."""
    return _OF_VERSION.fullmatch(source) is not None


async def versions_of(client: TrackingClient, model_id: UUID) -> list[Version]:
    """What `create_version` made for a trained model, under whatever name, the oldest first."""
    found = [v async for v in _search(client, f"tags.`{MODEL_TAG}` = '{model_id}'") if not v.is_copy]
    return sorted(found, key=lambda v: int(v.number))


async def all_ours(client: TrackingClient) -> AsyncIterator[Version]:
    """Every version that a gateway made."""
    async for version in _search(client, f"tags.`{MODEL_TAG}` LIKE '%'"):
        if not version.is_copy:
            yield version


async def ensure_model(client: TrackingClient, name: str, project_id: UUID) -> None:
    """May be repeated and raced: one registered model per name."""
    try:
        tags = _pairs({PROJECT_TAG: str(project_id)})
        await client.call("POST", "registered-models/create", {"name": name, "tags": tags})
    except TrackingRefused as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


async def create_version(
    client: TrackingClient,
    name: str,
    source: str,
    tags: Mapping[str, str],
    *,
    mlflow_run_id: str | None,
    logged_model_id: str | None,
) -> Version:
    """Not idempotent: after TrackingUnavailable `versions_of` may find one. Run or logged model must hold the source;
    that of a registered model that is gone is refused as RESOURCE_DOES_NOT_EXIST."""
    named = {"run_id": mlflow_run_id, "model_id": logged_model_id}
    body = {"name": name, "source": source, "tags": _pairs(tags), **{k: v for k, v in named.items() if v}}
    return _version((await client.call("POST", "model-versions/create", body))["model_version"])


async def set_tags(client: TrackingClient, version: Version, tags: Mapping[str, str]) -> None:
    """Those that differ."""
    for pair in _pairs({key: value for key, value in tags.items() if version.tags.get(key) != value[:MOST_TAG]}):
        body = {"name": version.name, "version": version.number, **pair}
        await client.call("POST", "model-versions/set-tag", body)


async def rename_model(client: TrackingClient, old: str, new: str) -> bool:
    """Whether the registered model has the new name now; not when another has it, or the old one is gone."""
    try:
        await client.call("POST", "registered-models/rename", {"name": old, "new_name": new})
    except TrackingRefused as error:
        if error.error_code in ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"):
            return False
        raise
    return True


async def delete_version(client: TrackingClient, version: Version) -> None:
    """The bytes stay. Nothing happens when it is gone."""
    await _delete(client, "model-versions/delete", {"name": version.name, "version": version.number})


async def numbers_of(client: TrackingClient, name: str) -> set[str] | None:
    """Of all versions of a registered model, whoever made them; None for a name that no filter can hold."""
    if "'" in name and '"' in name:
        return None
    quote = '"' if "'" in name else "'"
    return {version.number async for version in _search(client, f"name = {quote}{name}{quote}")}


async def delete_model_if_empty(client: TrackingClient, name: str) -> None:
    """Take away a registered model that the gateway made and that has no version any more."""
    try:
        found = (await client.call("GET", "registered-models/get", query=[("name", name)]))["registered_model"]
    except TrackingRefused as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return
        raise
    if PROJECT_TAG in _tags(found) and await numbers_of(client, name) == set():
        await _delete(client, "registered-models/delete", {"name": name})


async def _delete(client: TrackingClient, path: str, body: Mapping[str, str]) -> None:
    try:
        await client.call("DELETE", path, body)
    except TrackingRefused as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


async def _search(client: TrackingClient, filtered: str) -> AsyncIterator[Version]:
    token = ""
    while True:
        query = [("filter", filtered), ("max_results", str(PAGE)), *([("page_token", token)] if token else [])]
        answer = await client.call("GET", "model-versions/search", query=query)
        for found in answer.get("model_versions", ()):
            yield _version(found)
        token = answer.get("next_page_token") or ""
        if not token:
            return


def _version(found: Mapping[str, Any]) -> Version:
    return Version(str(found["name"]), str(found["version"]), _tags(found), str(found.get("source") or ""))


def _tags(found: Mapping[str, Any]) -> dict[str, str]:
    pairs: Iterable[Mapping[str, Any]] = found.get("tags", ())
    return {str(tag["key"]): str(tag.get("value", "")) for tag in pairs}


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value[:MOST_TAG]} for key, value in tags.items()]
