"""What a job wrote down beside itself, read back as requests to MLflow.

The lines are those of `backends/job_script/tracking_endpoint.py`. What only adds to a run is put together, for MLflow
takes a batch of a thousand points in the time of a few single ones.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_ALL, MOST_METRICS, MOST_PARAMS, MOST_TAGS = 1000, 1000, 100, 100
"""Of one batch, as MLflow takes it."""
_ALSO = {"modelId": "model_id", "datasetName": "dataset_name", "datasetDigest": "dataset_digest"}
_METRIC = ("key", "value", "timestamp", "step", "model_id", "dataset_name", "dataset_digest")
_PLAIN = frozenset({"runs/log-metric", "runs/log-batch", "runs/log-parameter", "runs/set-tag"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a journal."""

    content: Mapping[str, Any]
    end: int
    """Offset in the journal right behind it."""

    @property
    def op(self) -> str:
        return str(self.content.get("op"))

    @property
    def route(self) -> str:
        return str(self.content.get("route"))

    @property
    def body(self) -> dict[str, Any]:
        return dict(self.content.get("body") or {})

    @property
    def run(self) -> str:
        return str(self.body.get("run_id") or self.body.get("run_uuid") or "")


@dataclass(slots=True)
class Batch:
    """What several lines add to one run."""

    metrics: list[dict[str, Any]] = field(default_factory=list)
    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    @classmethod
    def of(cls, lines: Iterable[Line]) -> "Batch":
        """Of lines that fit together."""
        batch = cls()
        for line in lines:
            batch.takes(line)
        return batch

    def takes(self, line: Line) -> bool:
        """Whether there is room for what a line adds; then it is in."""
        metrics, params, tags = _added(line)
        room = (
            len(self.metrics) + len(metrics) <= MOST_METRICS
            and len(self.params) + len(params) <= MOST_PARAMS
            and len(self.tags) + len(tags) <= MOST_TAGS
            and len(self) + len(metrics) + len(params) + len(tags) <= MOST_ALL
        )
        if not room:
            return False
        self.metrics += metrics
        self.params.update((str(p.get("key")), p) for p in params)
        self.tags.update((str(t.get("key")), t) for t in tags)
        self.lines.append(line)
        return True

    def __len__(self) -> int:
        return len(self.metrics) + len(self.params) + len(self.tags)

    def body(self, run: str) -> dict[str, Any]:
        parts = {"metrics": self.metrics, "params": list(self.params.values()), "tags": list(self.tags.values())}
        return {"run_id": run, **{name: values for name, values in parts.items() if values}}


@dataclass(frozen=True, slots=True)
class Step:
    """Done as one: batches of several runs, or one line of another kind."""

    end: int
    batches: Mapping[str, Batch] = field(default_factory=dict)
    line: Line | None = None


def lines(data: bytes, offset: int) -> Iterator[Line]:
    """The whole lines of a part of a journal that begins at `offset`; what is no line of ours is passed over."""
    for raw in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
        offset += len(raw)
        try:
            content = json.loads(raw)
        except (ValueError, RecursionError):
            content = None
        yield Line(content if isinstance(content, dict) else {}, offset)


def steps(found: Iterable[Line]) -> Iterator[Step]:
    """In the journal's order, as far as it matters: what is added to one run never waits for what is to another."""
    batches: dict[str, Batch] = {}
    end = 0
    for line in found:
        plain = line.op == "call" and line.route in _PLAIN
        if plain and batches.setdefault(line.run, Batch()).takes(line):
            end = line.end
            continue
        if end:
            yield Step(end, batches)
        batches, end = {}, 0
        if plain and batches.setdefault(line.run, Batch()).takes(line):
            end = line.end
        else:
            batches = {}
            yield Step(line.end, line=line)
    if end:
        yield Step(end, batches)


def singly(found: Iterable[Line]) -> Iterator[Step]:
    """Each line by itself: what one of them breaks is that one."""
    return (Step(line.end, line=line) for line in found)


def _added(line: Line) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    body = line.body
    if line.route == "runs/log-batch":
        parts = [[dict(one) for one in body.get(name) or ()] for name in ("metrics", "params", "tags")]
        return [_metric(one) for one in parts[0]], parts[1], parts[2]
    if line.route == "runs/log-metric":
        return [_metric(body)], [], []
    pair = {"key": body.get("key"), "value": body.get("value", "")}
    return ([], [pair], []) if line.route == "runs/log-parameter" else ([], [], [pair])


def _metric(body: Mapping[str, Any]) -> dict[str, Any]:
    plain = {_ALSO.get(name, name): value for name, value in body.items()}
    return {name: plain[name] for name in _METRIC if name in plain}
