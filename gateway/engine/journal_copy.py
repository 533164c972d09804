"""One journal of a job under work: each of its steps done once more, in MLflow.

A step may be done twice, after a crash between MLflow's answer and our note of it. So each is one that changes nothing
the second time: MLflow keeps a metric point, a param and a file once, and what is made (child runs, logged models)
carries the id that the job was given, and is searched before it is made.
"""

import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from sqlalchemy import update

from backends.backend import Backend
from backends.errors import JobNotFound, SiteUnavailable
from backends.spec import Handle
from gateway.db.lease import later
from gateway.engine.parts import Parts
from gateway.errors import GatewayError, Unavailable
from gateway.runs.rows import Run
from gateway.tracking.alias import alias
from gateway.tracking.client import ARTIFACTS, TrackingRefused, TrackingUnavailable
from gateway.tracking.desk import Answer, Passage
from gateway.tracking.journal import Batch, Line, Step, lines, singly, steps
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
KEPT_FOR_SECONDS = 1.0
"""A claim that was made sure of is taken for ours for so long."""
LARGEST_RECIPE = 1 << 20
"""Bytes of a file `MLmodel`, in which ids are changed for MLflow's."""
MOST_MISSING = 1000
MOST_TRIES = 8
"""So often what stands at one place of a journal may fail while MLflow and site are well; then it is left out."""
TURN_SECONDS, TURN_BYTES = 30.0, 64 << 20
"""Of one journal, before others have their turn."""
_ID = re.compile(r"(?:m-)?[0-9a-f]{32}")
_IDS = re.compile(r"m-[0-9a-f]{32}|[0-9a-f]{32}")
_KNOWN = ("begin", "end", "call", "file", "dropped")
_LINKS = {"runs/outputs": ("outputs", "model_outputs"), "runs/log-inputs": ("inputs", "model_inputs")}
_TAKES_AWAY = ("runs/delete-tag", "logged-models/{}/tags/{}")


class Hopeless(Exception):
    """Nothing of what follows in this journal can be read."""


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
    kept_at: float = field(default_factory=time.monotonic)
    """When it was last made sure that the journal is ours."""
    new_ids: bool = False

    @property
    def own(self) -> str:
        return alias(self.run.id)

    async def go_on(self) -> bool:
        """Do what is new in the journal, for a while; whether there is more of it already.

        Raises Overtaken, Hopeless, and what site and MLflow raise: then all before it is done and noted."""
        end, read = time.monotonic() + TURN_SECONDS, 0
        while time.monotonic() < end and read < TURN_BYTES:
            data = await self._part()
            await self._do_all(data)
            read += len(data)
            if len(data) < PART:
                return False
        return True

    async def _part(self) -> bytes:
        """The next bytes, with a whole line where there is one."""
        limit = PART
        while True:
            data = await self._read(limit)
            if b"\n" in data or len(data) < limit:
                return data
            if limit >= LONGEST_LINE:
                raise Hopeless("its journal holds a line of over 32 MB")
            limit *= 2

    async def _do_all(self, data: bytes) -> None:
        """Where it failed again and again while all is well, line by line: what cannot be done is left out."""
        careful = self.journal.failures >= MOST_TRIES and await self.proxy.client.healthy()
        found = lines(data, self.journal.position)
        for step in singly(found) if careful else steps(found):
            await self._keep_sometimes()
            try:
                await self._do(step)
            except (Unavailable, SiteUnavailable) as error:
                if not careful:
                    raise
                text = error.message if isinstance(error, SiteUnavailable) else error.detail
                self._refused(f"given up after {MOST_TRIES} tries: {text}")
                await self._note(step.end)
                careful = False
                return

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
        await self._do_line(step.line)
        await self._note(step.end, ended=step.line.op == "end")

    async def _do_line(self, line: Line) -> None:
        if line.op not in _KNOWN:
            return self._refused("a line of the journal cannot be read")
        try:
            if line.op == "call":
                await self._try(line)
            elif line.op == "file":
                await self._send_file(line)
            elif line.op == "dropped":
                lost = max(1, min(int(line.content.get("lines") or 1), 10**9))
                self._refused(f"{lost} entries had no room on the disk beside the job", lost)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            self._refused(f"{line.content.get('route') or line.op}: {error!r}")

    async def _add(self, run: str, batch: Batch) -> None:
        """What several lines add to a run; halved when MLflow refuses it, until the bad one is found."""
        await self._keep_sometimes()
        if len(batch.lines) == 1:
            return await self._do_line(batch.lines[0])
        try:
            return await self._add_together(run, batch)
        except Unavailable:
            raise
        except (GatewayError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            _away(error)
        half = len(batch.lines) // 2
        for part in (batch.lines[:half], batch.lines[half:]):
            await self._add(run, Batch.of(part))

    async def _add_together(self, run: str, batch: Batch) -> None:
        body = batch.body(run)
        if self.journal.ids:
            body = self._words(body)
        await self.proxy.add(self.caller, body.pop("run_id"), body)

    async def _try(self, line: Line) -> None:
        try:
            await self._again(line)
        except Unavailable:
            raise
        except GatewayError as error:
            _away(error)
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
        if not _ID.fullmatch(given) or given == self.own:
            raise ValueError(f"{given[:40]!r} is no id")
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
        self.journal.ids[given] = there
        self.new_ids = True

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
            if name not in self.journal.missing and len(self.journal.missing) < MOST_MISSING:
                self.journal.missing = [*self.journal.missing, name]
            return
        except Unavailable:
            raise
        except GatewayError as error:
            _away(error)
            self._refused(f"artifact {path}: {error.detail}")
            return
        self.journal.missing = [other for other in self.journal.missing if other != name]

    async def _bytes(self, file: str, size: int) -> AsyncIterator[bytes]:
        """Whole, or an error: never fewer bytes than the job said."""
        if (await self.backend.stat(self.handle, file)).size < size:
            raise SiteUnavailable(f"{file} does not show its {size} bytes.")
        at = 0
        while at < size:
            data = await self.backend.read(self.handle, file, at, min(CHUNK, size - at))
            if not data:
                raise SiteUnavailable(f"{file} shows {at} bytes of {size}.")
            yield data
            at += len(data)
            await self._keep_sometimes()

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
        ids = self.journal.ids
        return _IDS.sub(lambda found: ids.get(found[0], found[0]), text) if ids else text

    def _refused(self, text: str, count: int = 1) -> None:
        self.journal.refused += count
        self.journal.first_refusal = self.journal.first_refusal or text[:1000]

    async def _note(self, position: int, *, ended: bool = False) -> None:
        """Store how far it came. Raises Overtaken when another was here meanwhile."""
        journal = self.journal
        values = {
            "position": position,
            "missing": journal.missing,
            "refused": journal.refused,
            "first_refusal": journal.first_refusal,
            "ended": ended,
            "failures": 0,
        }
        if self.new_ids:
            values["ids"] = dict(journal.ids)
        await self.keep(**values)
        self.new_ids = False
        journal.position, journal.ended = position, ended

    async def _keep_sometimes(self) -> None:
        """Every note makes sure of it too."""
        if time.monotonic() - self.kept_at > KEPT_FOR_SECONDS:
            await self.keep()

    async def keep(self, **values: Any) -> None:
        """It stays ours for a while. Raises Overtaken when it is another's."""
        async with self.parts.db.transaction() as session:
            ours = (TrackingJournal.run_id == self.run.id, TrackingJournal.epoch == self.epoch)
            row = update(TrackingJournal).where(*ours).values(**values, due_at=later(session, HELD_SECONDS))
            changed = row.returning(TrackingJournal.run_id).execution_options(synchronize_session=False)
            if await session.scalar(changed) is None:
                raise Overtaken
        self.kept_at = time.monotonic()


def _away(error: Exception) -> None:
    """Raises TrackingUnavailable when something between us and MLflow said no, and not MLflow."""
    if isinstance(error, TrackingRefused) and not error.error_code and error.http_status:
        raise TrackingUnavailable(error.detail) from error


def _id(answer: Mapping[str, Any], *, run: bool) -> str:
    return str(answer["run"]["info"]["run_id"] if run else answer["model"]["info"]["model_id"])


async def _nothing() -> bytes:
    return b""


def _of(content: bytes) -> tuple[AsyncIterator[bytes], int]:
    async def once() -> AsyncIterator[bytes]:
        yield content

    return once(), len(content)
