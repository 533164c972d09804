"""One journal of a job under work: each of its steps done once more, in MLflow.

A step may be done twice, after a crash between MLflow's answer and our note of it. So each is one that changes nothing
the second time: MLflow keeps a metric point, a param and a file once, and what is made (child runs, logged models)
carries the id that the job was given, and is searched before it is made.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from sqlalchemy import update

from backends.backend import Backend
from backends.errors import JobNotFound, SiteUnavailable
from backends.spec import Handle
from gateway import clock
from gateway.db.lease import later
from gateway.engine.parts import Parts
from gateway.errors import GatewayError, Unavailable
from gateway.runs.rows import Run
from gateway.tracking.alias import alias
from gateway.tracking.client import ARTIFACTS, TrackingRefused
from gateway.tracking.desk import Answer, Passage
from gateway.tracking.journal import Batch, Line, Step, lines, steps
from gateway.tracking.proxy import TrackingProxy
from gateway.tracking.rows import TrackingJournal
from gateway.tracking.transport import API
from gateway.users.caller import Caller

JOURNAL = "tracking/journal"
JOURNAL_TAG = "mantik.journalId"
"""Tag of what a copy made in MLflow: the id that the job was given for it."""
PART = 4 << 20
"""Bytes of a journal that are read at once; a longer line is read whole."""
LONGEST_LINE = 32 << 20
CHUNK = 1 << 20
HELD_SECONDS = 90.0
"""How long one gateway has for the next step of a journal before another may."""
LARGEST_RECIPE = 1 << 20
"""Bytes of a file `MLmodel`, in which ids are changed for MLflow's."""
_LINKS = {"runs/outputs": ("outputs", "model_outputs"), "runs/log-inputs": ("inputs", "model_inputs")}
_TAKES_AWAY = ("runs/delete-tag", "logged-models/{}/tags/{}")


class Overtaken(Exception):
    """Another gateway goes on with this journal by now."""


@dataclass(slots=True)
class JournalCopy:
    """Of one run, by one gateway, under one claim."""

    parts: Parts
    proxy: TrackingProxy
    run: Run
    journal: TrackingJournal
    epoch: int
    backend: Backend
    handle: Handle
    caller: Caller
    roots: dict[str, str] = field(default_factory=dict)
    """Where MLflow keeps the files of a run or logged model."""

    @property
    def own(self) -> str:
        return alias(self.run.id)

    async def go_on(self) -> bool:
        """Do what is new in the journal; whether there is more of it already."""
        limit = PART
        while True:
            data = await self._read(limit)
            if b"\n" in data or len(data) < limit or limit >= LONGEST_LINE:
                break
            limit *= 2
        if len(data) >= LONGEST_LINE and b"\n" not in data:
            # No line of ours; whatever follows it is.
            await self._note(self.journal.position + len(data), refusal="a line of over 32 MB")
            return True
        for step in steps(lines(data, self.journal.position)):
            await self._keep()
            await self._do(step)
        return len(data) >= limit

    async def _read(self, limit: int) -> bytes:
        try:
            return await self.backend.read(self.handle, JOURNAL, self.journal.position, limit)
        except JobNotFound:
            # Tracking goes elsewhere, or has not begun; with the directory it is gone.
            await self.backend.list(self.handle)
            return b""

    async def _do(self, step: Step) -> None:
        if step.line is None:
            for run, batch in step.batches.items():
                await self._add(run, batch)
            return await self._note(step.end, ended=False)
        line = step.line
        if line.op == "call":
            await self._try(line)
        elif line.op == "file":
            await self._send_file(line)
        elif line.op == "dropped":
            lost = int(line.content.get("lines") or 1)
            self._refused(f"{lost} entries had no room on the disk beside the job", lost)
        await self._note(step.end, ended=line.op == "end")

    async def _add(self, run: str, batch: Batch) -> None:
        """What several lines add to a run; one by one when MLflow refuses one of them."""
        if len(batch.lines) > 1:
            body = self._words(batch.body(run))
            try:
                await self._call("POST", "runs/log-batch", body)
                return
            except Unavailable:
                raise
            except GatewayError:
                pass
        for line in batch.lines:
            await self._try(line)

    async def _try(self, line: Line) -> None:
        try:
            await self._again(line)
        except Unavailable:
            raise
        except GatewayError as error:
            gone = isinstance(error, TrackingRefused) and error.error_code == "RESOURCE_DOES_NOT_EXIST"
            if not (gone and line.route in _TAKES_AWAY):  # by an earlier try
                self._refused(f"{line.route}: {error.detail}")

    async def _again(self, line: Line) -> None:
        """One request of the job once more, in MLflow."""
        body = self._words(line.body)
        if line.route in ("runs/create", "logged-models"):
            return await self._make(line, body)
        if line.route == "runs/update" and line.run == self.own:
            # The state of the run is the gateway's to tell.
            body = {key: body[key] for key in ("run_id", "run_name") if body.get(key)}
            if "run_name" not in body:
                return
        if line.route in _LINKS and body.get("models"):
            body["models"] = await self._not_linked(line.route, body)
            if not body["models"] and not body.get("datasets"):
                return
        model = str(line.content.get("of") or "")
        route = line.route.replace("{}", self.journal.ids.get(model, model), 1)
        route = route.replace("{}", quote(str(body.get("key") or ""), safe=""), 1)
        await self._call(str(line.content.get("method")), route, body)

    async def _not_linked(self, route: str, body: Mapping[str, Any]) -> list[Any]:
        """Models that no earlier try linked to the run: MLflow refuses to do it twice."""
        answer = await self._call("GET", "runs/get", query=[("run_id", str(body["run_id"]))])
        side, name = _LINKS[route]
        there = {link["model_id"] for link in json.loads(answer.content)["run"].get(side, {}).get(name) or ()}
        return [model for model in body["models"] if model.get("model_id") not in there]

    async def _make(self, line: Line, body: dict[str, Any]) -> None:
        given = str(line.content.get("id"))
        if given in self.journal.ids:
            return
        tag = {JOURNAL_TAG: given}
        run = line.route == "runs/create"
        own = await self.proxy.own_run(self.caller)
        if not run:
            body["experiment_id"] = own.experiment_id
        there = await self._made(own.experiment_id, given, run=run)
        if there is None:
            answer = json.loads((await self._call("POST", line.route, body, tag)).content)
            there = _id(answer, run=run)
        self.journal.ids = {**self.journal.ids, given: there}

    async def _made(self, experiment_id: str, given: str, *, run: bool) -> str | None:
        """What an earlier try made for this id of the job."""
        body = {"experiment_ids": [experiment_id], "filter": f"tags.`{JOURNAL_TAG}` = '{given}'"}
        route, name = ("runs/search", "runs") if run else ("logged-models/search", "models")
        found = (await self.parts.tracking.call("POST", route, body)).get(name) or ()
        return _id({name[:-1]: found[0]}, run=run) if found else None

    async def _send_file(self, line: Line) -> None:
        owner, path = str(line.content.get("of")), str(line.content.get("path"))
        file, size = f"tracking/files/{line.content.get('file')}", int(line.content.get("size") or 0)
        name = f"{owner}/{path}"
        try:
            root = await self._root(owner)
            asked = await self.proxy.handle(self.caller, "PUT", f"{ARTIFACTS}{root}/{path}", [], _nothing)
            assert isinstance(asked, Passage)  # noqa: S101  the route of files
            if path.rpartition("/")[2] == "MLmodel" and size <= LARGEST_RECIPE:
                recipe = b"".join([part async for part in self._bytes(file, size)])
                content, length = _of(await self._recipe(owner, recipe))
            else:
                content, length = self._bytes(file, size), size
            headers = {"content-length": str(length), "content-type": "application/octet-stream"}
            async with self.proxy.client.stream("PUT", asked.path, content=content, headers=headers):
                pass
        except JobNotFound:
            # A newer version of it is further on in the journal, or somebody took it away.
            self.journal.missing = [*self.journal.missing, name]
            return
        except Unavailable:
            raise
        except GatewayError as error:
            self._refused(f"artifact {path}: {error.detail}")
            return
        self.journal.missing = [other for other in self.journal.missing if other != name]

    async def _bytes(self, file: str, size: int) -> AsyncIterator[bytes]:
        """Whole, or an error: never fewer bytes than the job said."""
        await self.backend.stat(self.handle, file)
        at, noted = 0, clock.now()
        while at < size:
            data = await self.backend.read(self.handle, file, at, min(CHUNK, size - at))
            if not data:
                raise SiteUnavailable(f"{file} shows {at} bytes of {size}.")
            yield data
            at += len(data)
            if (clock.now() - noted).total_seconds() > HELD_SECONDS / 5:
                await self._keep()
                noted = clock.now()

    async def _recipe(self, owner: str, content: bytes) -> bytes:
        """A file `MLmodel` with MLflow's ids and place of the model in it."""
        own = await self.proxy.own_run(self.caller)
        place = f"mlflow-artifacts:/{await self._root(owner)}"
        text = content.decode("utf-8", "surrogateescape")
        text = text.replace(f"mlflow-artifacts:/0/models/{owner}/artifacts", place)
        text = self._translated(text).replace(self.own, own.mlflow_run_id or self.own)
        return text.encode("utf-8", "surrogateescape")

    async def _root(self, owner: str) -> str:
        """Path of the artifacts of a run or logged model at MLflow's artifact proxy."""
        if owner not in self.roots:
            there = self.journal.ids.get(owner, owner)
            if owner.startswith("m-"):
                answer = await self._call("GET", f"logged-models/{there}")
                uri = json.loads(answer.content)["model"]["info"]["artifact_uri"]
            else:
                answer = await self._call("GET", "runs/get", query=[("run_id", there)])
                uri = json.loads(answer.content)["run"]["info"]["artifact_uri"]
            place = urlsplit(uri)
            if place.scheme != "mlflow-artifacts":
                raise TrackingRefused("The tracking server does not keep artifacts itself.")
            self.roots[owner] = place.path.strip("/")
        return self.roots[owner]

    async def _call(
        self,
        method: str,
        route: str,
        body: Mapping[str, Any] | None = None,
        own_tags: Mapping[str, str] | None = None,
        query: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        """Through the same door as the job's own requests: what a run token may not do is refused here too."""

        async def content() -> bytes:
            return json.dumps(body or {}).encode()

        answer = await self.proxy.handle(self.caller, method, API + route, list(query), content, own_tags=own_tags)
        assert isinstance(answer, Answer)  # noqa: S101  no route of files
        return answer

    def _words(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """With MLflow's ids in place of those that the job was given."""
        return dict(json.loads(self._translated(json.dumps(body))))

    def _translated(self, text: str) -> str:
        for given, there in self.journal.ids.items():
            text = text.replace(given, there)
        return text

    def _refused(self, text: str, count: int = 1) -> None:
        self.journal.refused += count
        self.journal.first_refusal = self.journal.first_refusal or text[:1000]

    async def _note(self, position: int, *, ended: bool = False, refusal: str | None = None) -> None:
        """Store how far it came. Raises Overtaken when another was here meanwhile."""
        if refusal is not None:
            self._refused(refusal)
        journal = self.journal
        values = {
            "position": position,
            "ids": journal.ids,
            "missing": journal.missing,
            "refused": journal.refused,
            "first_refusal": journal.first_refusal,
            "ended": ended,
            "failures": 0,
        }
        await self._keep(**values)
        journal.position, journal.ended = position, ended

    async def _keep(self, **values: Any) -> None:
        """It stays ours for a while. Raises Overtaken when it is another's."""
        async with self.parts.db.transaction() as session:
            ours = (TrackingJournal.run_id == self.run.id, TrackingJournal.epoch == self.epoch)
            row = update(TrackingJournal).where(*ours).values(**values, due_at=later(session, HELD_SECONDS))
            changed = row.returning(TrackingJournal.run_id).execution_options(synchronize_session=False)
            if await session.scalar(changed) is None:
                raise Overtaken


def _id(answer: Mapping[str, Any], *, run: bool) -> str:
    return str(answer["run"]["info"]["run_id"] if run else answer["model"]["info"]["model_id"])


async def _nothing() -> bytes:
    return b""


def _of(content: bytes) -> tuple[AsyncIterator[bytes], int]:
    async def once() -> AsyncIterator[bytes]:
        yield content

    return once(), len(content)
