"""The files of a model: as an archive, and as one of which an image is built; by the gateway's own application."""

import asyncio
import gzip
import io
import random
import tarfile
import threading
import uuid
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect

from gateway import clock
from gateway.api.app import create_app
from gateway.api.routers import models as router
from gateway.client import AsyncClient
from gateway.errors import Conflict, NotFound, Unavailable
from gateway.models import archive, files, image
from gateway.models.archive import Member, member
from gateway.models.files import Archive
from gateway.models.rows import TrainedModel
from gateway.schemas.models import RegisterModel
from gateway.secrets.vault import Vault
from gateway.settings import Settings
from tests.gateway.models.shop import FILES, Shop, a_shop
from tests.gateway.tracking.house import ACCESS, Home, join

pytestmark = pytest.mark.mlflow
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def app(shop: Shop) -> FastAPI:
    settings = Settings(data_dir=Path("unused"), public_url="http://gateway.test")
    doors = {"db": shop.db, "access": ACCESS, "tracking": shop.client, "vault": Vault([b"v" * 32])}
    return create_app(SimpleNamespace(settings=settings, **doors))  # type: ignore[arg-type]


def speaks(app: FastAPI, token: str | None) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway.test", headers=headers)


def unpacked(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]


def path_of(home: Home, model_id: object, *more: str) -> str:
    return "/".join(["/api/v1/projects", str(home.project.id), "models/trained", str(model_id), *more])


@pytest.mark.parametrize("folder", [None, "deep/my classic"])
async def test_a_download_is_a_tar_of_all_files(shop: Shop, app: FastAPI, folder: str | None) -> None:
    run = await shop.run()
    await (shop.log_folder(run, folder) if folder else shop.log(run))
    made = await shop.register("my net", run)
    async with speaks(app, shop.home.token) as http:
        answer = await http.get(path_of(shop.home, made.model_id, "download"))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["content-disposition"] == 'attachment; filename="my net.tar"'
    assert unpacked(answer.content) == {f"my net/{path}": data for path, data in FILES.items()}


@SQLITE
async def test_who_may_download(shop: Shop, app: FastAPI) -> None:
    made = await shop.register("net")
    other = await a_shop(shop.db, shop.client, shop.faults, "b")
    tokens = {role: await join(shop.db, shop.home, role) for role in ("reporter", "guest")}
    for token, status in ((tokens["reporter"], 200), (tokens["guest"], 403), (other.home.token, 404), (None, 401)):
        async with speaks(app, token) as http:
            assert (await http.get(path_of(shop.home, made.model_id, "download"))).status_code == status
    async with speaks(app, other.home.token) as http:
        assert (await http.get(path_of(other.home, made.model_id, "download"))).status_code == 404


@SQLITE
async def test_what_lies_elsewhere_or_is_gone_is_told(shop: Shop, app: FastAPI) -> None:
    run = await shop.run()
    elsewhere = await shop.register("hub", run, run_id=None, uri="https://hub.example.org/net", location="hub")
    await shop.log_folder(run)
    gone = await shop.register("gone", run)
    top = f"api/2.0/mlflow-artifacts/artifacts/{shop.home.experiment_id}/{run.mlflow_run_id}/artifacts"
    for path in FILES:
        await shop.client.send("DELETE", f"{top}/model/{path}")
    async with speaks(app, shop.home.token) as http:
        for model, text in ((elsewhere, "lies at https://hub.example.org/net"), (gone, "are gone from MLflow")):
            answer = await http.get(path_of(shop.home, model.model_id, "download"))
            assert answer.status_code == 409
            assert text in answer.json()["detail"]


@SQLITE
async def test_an_archive_for_an_image_is_built_and_fetched_by_its_link(shop: Shop, app: FastAPI) -> None:
    run = await shop.run()
    await shop.log(run)
    made = await shop.register("my net", run)
    async with speaks(app, shop.home.token) as http:
        early = await http.get(path_of(shop.home, made.model_id, "docker"))
        assert (early.status_code, early.json()["code"]) == (409, "CONFLICT")
        assert "was not built yet" in early.json()["detail"]
        answer = await http.post(path_of(shop.home, made.model_id, "docker", "build"))
        assert answer.status_code == 200, answer.text
        again = await http.get(path_of(shop.home, made.model_id, "docker"))
    assert (await shop.models())[0].has_image
    url = urlsplit(again.json()["url"])
    assert url.path.endswith("/my%20net.tar.gz")
    async with speaks(app, None) as http:
        packed = await http.get(url.path)
        assert packed.status_code == 200, packed.text
        forged = await http.get(url.path.replace("/model-images/", "/model-images/A"))
        ends = clock.now() + timedelta(hours=1)
        clock.use(lambda: ends)
        late = await http.get(url.path)
        clock.use(lambda: ends - timedelta(minutes=30))
        await _unregistering(shop, made.model_id)
        going = await http.get(url.path)
    found = unpacked(gzip.decompress(packed.content))
    assert {f"{image.FOLDER}/{path}": data for path, data in FILES.items()}.items() <= found.items()
    assert set(found) - {f"{image.FOLDER}/{path}" for path in FILES} == {"Dockerfile", "README.md"}
    text = found["Dockerfile"].decode()
    assert text.startswith("# Build an image that can serve mlflow models.\nFROM ")
    assert f"COPY {image.FOLDER} /opt/ml/model" in text
    assert b"docker build" in found["README.md"]
    for refused in (forged, late, going):
        assert (refused.status_code, refused.json()["detail"]) == (404, "This link has ended. Ask for another one.")


async def _unregistering(shop: Shop, model_id: uuid.UUID) -> None:
    async with shop.db.transaction() as session:
        (await session.get_one(TrainedModel, model_id)).status = "UNREGISTERING"


@SQLITE
async def test_an_environment_outside_the_model_is_never_opened(shop: Shop, app: FastAPI) -> None:
    run = await shop.run()
    await shop.log_folder(run)
    place = f"{shop.home.experiment_id}/{run.mlflow_run_id}/artifacts/model/MLmodel"
    content = FILES["MLmodel"] + b"    env: {virtualenv: /proc/self/fd/1}\n"
    await shop.client.send("PUT", f"api/2.0/mlflow-artifacts/artifacts/{place}", content=content)
    made = await shop.register("net", run)
    async with speaks(app, shop.home.token) as http:
        answer = await http.post(path_of(shop.home, made.model_id, "docker", "build"))
    assert answer.status_code == 409
    assert "names the environment '/proc/self/fd/1', which is no file beside it" in answer.json()["detail"]


@pytest.mark.parametrize(
    "env", ["/etc/passwd", "{conda: ../x}", "{virtualenv: a/b}", "..", "[conda.yaml]", "{conda: 1}", "!!python/none"]
)
def test_descriptions_that_are_refused(tmp_path: Path, env: str) -> None:
    place = tmp_path / "MLmodel"
    place.write_text(f"flavors: {{python_function: {{env: {env}}}}}\n")
    with pytest.raises(Conflict, match="MLflow cannot make an image of this model: MLmodel"):
        image.check_description(place)


@pytest.mark.parametrize("env", ["conda.yaml", "{conda: conda.yaml, virtualenv: python_env.yaml}", "null"])
def test_descriptions_that_are_taken(tmp_path: Path, env: str) -> None:
    place = tmp_path / "MLmodel"
    place.write_text(f"flavors: {{python_function: {{env: {env}}}, other: 1}}\n")
    image.check_description(place)
    bombs = "a: &a {x: 1}\n" + "".join(f"{c}: &{c} {{<<: [*{b}, *{b}]}}\n" for b, c in pairwise("abcdefghijklmnop"))
    for text in ("[" * 50_000, bombs, ""):
        place.write_text(text)
        if text:
            with pytest.raises(Conflict, match="MLflow cannot make an image of this model: MLmodel"):
                image.check_description(place)
    place.unlink()
    with pytest.raises(Conflict, match="is missing or is not YAML"):
        image.check_description(place)


async def test_who_waits_for_the_builder_waits_for_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "TURN_SECONDS", 0.01)
    monkeypatch.setattr(image, "_one_at_a_time", asyncio.Semaphore(1))
    async with image._turn():
        with pytest.raises(Unavailable, match=r"makes other images now\. Try again"):
            async with image._turn():
                pass
    async with image._turn():
        assert image._one_at_a_time.locked()


@SQLITE
async def test_only_so_many_archives_are_sent_at_once(
    shop: Shop, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PLACE_SECONDS", 0.05)
    monkeypatch.setattr(shop.client, "archives", asyncio.Semaphore(1))
    made = await shop.register("net")
    async with shop.db.transaction() as session:
        (await session.get_one(TrainedModel, made.model_id)).dockerfile = "FROM scratch"
    async with speaks(app, shop.home.token) as http:
        link = (await http.get(path_of(shop.home, made.model_id, "docker"))).json()["url"]
        for place in (path_of(shop.home, made.model_id, "download"), urlsplit(link).path):
            async with shop.client.archives:
                full = await http.get(place)
            assert (full.status_code, full.json()["code"]) == (503, "UNAVAILABLE")
            assert full.json()["detail"].endswith("Try again in a minute.")
            for _ in range(2):
                assert (await http.get(place)).status_code == 200
                assert not shop.client.archives.locked()


@pytest.mark.parametrize("fault", ["file", "reader", "still"])
async def test_a_place_is_given_back_however_the_sending_ends(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "IDLE_SECONDS", 0.01)
    place = asyncio.Semaphore(1)
    await place.acquire()
    members = [Member("x", 1 if fault == "file" else 3, member("x", b"123").content)]

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and fault == "reader":
            raise OSError("gone")
        if message["type"] == "http.response.body" and fault == "still":
            await asyncio.Event().wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    sent = router._sent(Archive("x.tar", None, archive.tar(members), place), "application/x-tar")
    with pytest.raises((Unavailable, OSError, ClientDisconnect)):
        await asyncio.wait_for(sent({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send), 5)
    assert not place.locked()


async def test_packing_is_done_in_threads_and_in_large_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    compressobj, threads = zlib.compressobj, []

    def watched(*args: int) -> SimpleNamespace:
        packer = compressobj(*args)

        def compress(data: bytes) -> bytes:
            threads.append(threading.current_thread())
            return packer.compress(data)

        return SimpleNamespace(compress=compress, flush=packer.flush)

    monkeypatch.setattr(archive.zlib, "compressobj", watched)
    data = random.Random(1).randbytes(1 << 20)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 1 << 12):
            yield data[start : start + (1 << 12)]

    packed = [chunk async for chunk in archive.gzipped(chunks())]
    assert gzip.decompress(b"".join(packed)) == data
    assert threading.main_thread() not in threads
    assert len(threads) == 5


@SQLITE
async def test_a_model_that_mlflow_cannot_serve_is_told(shop: Shop, app: FastAPI) -> None:
    run = await shop.run()
    await shop.log_folder(run)
    broken = f"{shop.home.experiment_id}/{run.mlflow_run_id}/artifacts/model/MLmodel"
    await shop.client.send("PUT", f"api/2.0/mlflow-artifacts/artifacts/{broken}", content=b"flavors: {other: {}}\n")
    made = await shop.register("net", run)
    async with speaks(app, shop.home.token) as http:
        answer = await http.post(path_of(shop.home, made.model_id, "docker", "build"))
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("MLflow cannot make an image of this model: ")


@SQLITE
async def test_the_client_registers_renames_downloads_and_unregisters(
    shop: Shop, app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await shop.trained()
    client = AsyncClient("http://gateway.test/api/v1", token=shop.home.token, project=str(shop.project))
    monkeypatch.setattr(client._driver, "_http", httpx.AsyncClient(transport=httpx.ASGITransport(app)))
    async with client:
        made = await client.models.create(RegisterModel(name="net", run_id=run.id))
        with pytest.raises(Conflict, match="name: this project has a model 'net' already"):
            await client.models.create(RegisterModel(name="net", run_id=run.id))
        assert [model.name async for model in client.models.list()] == ["net"]
        place = await client.models.download("net", tmp_path / "there")
        found = {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}
        assert found == FILES
        with pytest.raises(Conflict, match="is there already"):
            await client.models.download("net", place)
        assert (await client.models.rename("net", "better")).uri == f"models:/{shop.project}.better/1"
        assert "/model-images/" in (await client.models.build_image("better")).url
        await client.models.delete("better")
        with pytest.raises(NotFound):
            await client.models.get(made.model_id)


@SQLITE
async def test_the_published_client_finds_its_names(shop: Shop, app: FastAPI) -> None:
    made = await shop.register("net")
    top = f"/api/v1/projects/{shop.project}/models/trained"
    async with speaks(app, shop.home.token) as http:
        listed = (await http.request("GET", top, json={})).json()
        shown = (await http.request("GET", f"{top}/{made.model_id}", json={})).json()
        changed = await http.put(f"{top}/{made.model_id}", json={**_published(shown), "name": "other"})
        gone = await http.delete(f"{top}/{made.model_id}")
    assert listed["models"] == listed["items"] == [shown]
    assert set(_published(shown)) <= set(shown)
    assert (changed.status_code, changed.json()["name"]) == (200, "other")
    assert gone.status_code == 204


def _published(shown: dict[str, object]) -> dict[str, object]:
    return {key: shown[key] for key in ("name", "uri", "location", "connectionId", "mlflowParameters", "runId")}


async def test_an_archive_holds_one_piece_at_a_time_and_its_size_is_known() -> None:
    """Of long names and of files that end anywhere in a block."""
    piece, made, got = 1 << 16, 0, 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(64):
            made += 1
            yield bytes(piece)

    big = Member("x/" + "long/" * 60 + "weights", 64 << 16, pieces)
    members = [member("x/empty", b""), member("x/ä", b"1"), big, member("x/block", bytes(512))]
    total, most = 0, 0
    data = bytearray()
    async for chunk in archive.tar(members):
        total, most = total + len(chunk), max(most, len(chunk))
        data += chunk
        got += len(chunk) == piece
        assert made == got, "no piece is taken before the last one was sent"
    assert made == 64
    assert total == archive.size_of(members)
    assert most <= 1 << 16
    assert {name: len(content) for name, content in unpacked(bytes(data)).items()} == {m.path: m.size for m in members}


@pytest.mark.parametrize("size", [99, 101])
async def test_an_archive_of_a_file_that_changed_meanwhile_is_cut(size: int) -> None:
    changed = Member("x/y", size, member("x/y", bytes(100)).content)
    with pytest.raises(Unavailable, match="The file x/y changed while it was read"):
        async for _ in archive.tar([changed]):
            pass
