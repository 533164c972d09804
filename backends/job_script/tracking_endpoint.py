"""MLflow's REST API beside a job: what the job tracks goes to a journal in its own directory, and no network is needed.

The job script starts this on the first node of a job, with whatever python3 is there (3.6 or newer) and nothing
installed. All ranks on all nodes of the job talk to it; each thing that changes something is one line of JSON in
`tracking/journal`, files are kept beside it in `tracking/files`, and the gateway reads both by offset, as it reads the
log, and does the same in MLflow. What it is asked of other runs it asks of the gateway. It never ends the job: when
the disk is full lines wait in memory, and what has no room there is counted.
"""

import collections
import hmac
import http.server
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any, Callable, Deque, Dict, Iterator, List, Optional, Tuple

JSON = Dict[str, Any]
MOST_BODY = 8 * 2**20
"""Bytes of a JSON body, as at the gateway."""
BLOCK = 2**20
MOST_WAITING = 64 * 2**20
"""Bytes of lines that wait for room on the disk."""
UPSTREAM_SECONDS = 5
AWAY_SECONDS = 60
"""So long a gateway that did not answer is not asked again."""
SYNC_SECONDS = 2
LAST_SECONDS = 5
HOPELESS = 3
STOP = signal.SIGRTMIN + 7
"""A signal that no site sends to a whole job."""
API = re.compile(r"/+(?:ajax-)?api/2\.0/mlflow/(.*)", re.DOTALL)
FILES = re.compile(r"/+(?:ajax-)?api/2\.0/mlflow-artifacts/artifacts(?:/(.*))?", re.DOTALL)
KEY = re.compile(r"[/\w.\- :]+")
CAPITAL = re.compile(r"(?<!^)([A-Z])")


class Refused(Exception):
    """A request that MLflow would refuse too, or that cannot be answered here."""

    def __init__(self, message: str, code: str = "INVALID_PARAMETER_VALUE", status: int = 400) -> None:
        super().__init__(message)
        self.body = {"error_code": code, "message": message}
        self.status = status


class NotOurs(Exception):
    """Something that this job did not make: the gateway knows it."""


class Journal:
    """Append-only lines. Whole lines only: a half one is cut off again, also one of an earlier start of the job."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = self._whole_lines()
        os.ftruncate(self._fd, self._size)
        self._waiting = collections.deque()  # type: Deque[bytes]
        self._bytes = 0
        self._dropped = 0
        self._dirty = False
        self.moves = True
        """Whether the last write had room."""

    def _whole_lines(self) -> int:
        size = os.fstat(self._fd).st_size
        while size > 0:
            start = max(0, size - 65536)
            at = os.pread(self._fd, size - start, start).rfind(b"\n")
            if at >= 0:
                return start + at + 1
            size = start
        return 0

    def lines(self) -> Iterator[JSON]:
        """What can be read; a node that crashed may have left anything."""
        with open(self.path, "rb") as journal:
            for line in journal:
                try:
                    entry = json.loads(line.decode())
                except ValueError:
                    continue
                if isinstance(entry, dict):
                    yield entry

    def append(self, entry: JSON) -> None:
        self._wait(entry)
        self.flush()
        while self._bytes > MOST_WAITING:
            self._bytes -= len(self._waiting.pop())
            self._dropped += 1

    def _wait(self, entry: JSON) -> None:
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        self._waiting.append(line)
        self._bytes += len(line)

    @property
    def waits(self) -> bool:
        return bool(self._waiting) or self._dropped > 0

    def flush(self) -> bool:
        """Write at most BLOCK bytes of what waits; whether nothing waits any more."""
        if self._waiting:
            lines, size = [], 0
            for line in self._waiting:
                lines.append(line)
                size += len(line)
                if size >= BLOCK:
                    break
            self.moves = self._write(b"".join(lines))
            if not self.moves:
                return False
            for _ in lines:
                self._waiting.popleft()
            self._bytes -= size
        if not self._waiting and self._dropped:
            lost, self._dropped = self._dropped, 0
            self._wait({"op": "dropped", "lines": lost})
        return not self._waiting

    def _write(self, data: bytes) -> bool:
        try:
            os.ftruncate(self._fd, self._size)
            if os.write(self._fd, data) < len(data):
                raise OSError("no room")
        except OSError:
            try:
                os.ftruncate(self._fd, self._size)
            except OSError:
                pass  # once more before the next write
            return False
        self._size += len(data)
        self._dirty = True
        return True

    def sync(self) -> None:
        """Some file systems say only here that there is no room; the lines are kept as far as they can be."""
        if self._dirty:
            try:
                os.fsync(self._fd)
                self._dirty = False
            except OSError:
                pass


class Run:
    def __init__(self, run_id: str, body: JSON) -> None:
        self.id = run_id
        self.info = {
            "run_id": run_id,
            "run_uuid": run_id,
            "experiment_id": str(body.get("experiment_id") or "0"),
            "run_name": body.get("run_name") or "",
            "user_id": body.get("user_id") or "",
            "status": "RUNNING",
            "start_time": int(body.get("start_time") or now()),
            "artifact_uri": "mlflow-artifacts:/0/" + run_id + "/artifacts",
            "lifecycle_stage": "active",
        }  # type: JSON
        self.params = {}  # type: Dict[str, str]
        self.tags = {}  # type: Dict[str, str]
        self.metrics = {}  # type: Dict[str, JSON]
        self.inputs = {"dataset_inputs": [], "model_inputs": []}  # type: Dict[str, List[JSON]]
        self.outputs = {"model_outputs": []}  # type: Dict[str, List[JSON]]

    def shown(self) -> JSON:
        metrics = list(self.metrics.values())
        data = {"metrics": metrics, "params": pairs(self.params), "tags": pairs(self.tags)}
        return {"info": self.info, "data": data, "inputs": self.inputs, "outputs": self.outputs}

    def check_params(self, params: List[JSON]) -> None:
        for param in params:
            key, value = str(param.get("key")), str(param.get("value", ""))
            check_key("param", key)
            if self.params.get(key, value) != value:
                raise Refused(
                    f"Changing param values is not allowed. Param with key='{key}' was already logged with "
                    f"value='{self.params[key]}' for run ID='{self.id}'. Attempted logging new value '{value}'."
                )

    def take(self, metrics: List[JSON], params: List[JSON], tags: List[JSON]) -> None:
        for metric in metrics:
            key = str(metric.get("key"))
            old = self.metrics.get(key)
            if old is None or order(metric) >= order(old):
                self.metrics[key] = metric
        self.params.update((str(p.get("key")), str(p.get("value", ""))) for p in params)
        self.tags.update((str(t.get("key")), str(t.get("value", ""))) for t in tags)


class Model:
    """A logged model of MLflow 3."""

    def __init__(self, model_id: str, body: JSON, run_id: str) -> None:
        self.params = body.get("params") or []
        self.tags = dict((t["key"], t.get("value", "")) for t in body.get("tags") or [])
        self.info = {
            "model_id": model_id,
            "experiment_id": str(body.get("experiment_id") or "0"),
            "name": body.get("name") or "model",
            "creation_timestamp_ms": now(),
            "last_updated_timestamp_ms": now(),
            "artifact_uri": "mlflow-artifacts:/0/models/" + model_id + "/artifacts",
            "status": "LOGGED_MODEL_PENDING",
            "model_type": body.get("model_type") or "",
            "source_run_id": run_id,
        }  # type: JSON

    def shown(self) -> JSON:
        return {"info": dict(self.info, tags=pairs(self.tags)), "data": {"params": self.params, "metrics": []}}


class Store:
    """What the job has tracked. Every change is written down before it is answered."""

    def __init__(self, folder: str, own: str, name: str, experiment: str, experiment_id: str = "") -> None:
        self.experiment_id = experiment_id or "0"
        self.lock = threading.RLock()
        self.folder = folder
        self.own = own
        self.experiment = experiment
        self.runs = {own: Run(own, {"run_name": name, "experiment_id": self.experiment_id})}
        self.models = {}  # type: Dict[str, Model]
        self.files = {}  # type: Dict[Tuple[str, str], Tuple[str, int]]
        """By owner and path: the file beside the journal, and its bytes."""
        os.makedirs(os.path.join(folder, "files"), mode=0o700, exist_ok=True)
        self.journal = Journal(os.path.join(folder, "journal"))

    def load(self) -> None:
        """What an earlier start of this job, before the site had it queued again, wrote down."""
        for entry in self.journal.lines():
            try:
                self._again(entry)
            except (LookupError, TypeError, ValueError, AttributeError, Refused, NotOurs):
                continue  # as the gateway passes over it
        self.journal.append({"op": "begin", "at": now()})

    def _again(self, entry: JSON) -> None:
        if entry["op"] == "call":
            CALLS[entry["method"], entry["route"]](self, dict(entry["body"]), entry.get("id"), entry.get("of"))
        elif entry["op"] == "file":
            self.files[entry["of"], entry["path"]] = entry["file"], entry["size"]

    def call(self, method: str, route: str, body: JSON, of: Optional[str]) -> JSON:
        """Do it here and write it down: in this order, for what is refused here is not written."""
        made = {"runs/create": uuid.uuid4().hex, "logged-models": "m-" + uuid.uuid4().hex}.get(route)
        entry = {"op": "call", "method": method, "route": route, "body": body}
        entry.update({key: value for key, value in (("id", made), ("of", of)) if value})
        refuse_reserved(route, body)
        with self.lock:
            answer: JSON = CALLS[method, route](self, dict(body), made, of)
            self.journal.append(entry)
        return answer

    def run(self, body: JSON) -> Run:
        run_id = body.get("run_id") or body.get("run_uuid")
        if run_id not in self.runs:
            raise NotOurs
        return self.runs[run_id]

    def model(self, model_id: Optional[str]) -> Model:
        if model_id not in self.models:
            raise NotOurs
        return self.models[model_id or ""]

    # ---- Changes.

    def create_run(self, body: JSON, made: Optional[str], of: Optional[str]) -> JSON:
        run = self.runs[made or ""] = Run(made or "", dict(body, experiment_id=self.experiment_id))
        run.take([], [], body.get("tags") or [])
        run.tags.setdefault("mlflow.parentRunId", self.own)
        return {"run": run.shown()}

    def update_run(self, body: JSON, made: Optional[str], of: Optional[str]) -> JSON:
        run = self.run(body)
        for key in ("status", "end_time", "run_name"):
            if body.get(key):
                run.info[key] = body[key]
        return {"run_info": run.info}

    def log_metric(self, body: JSON, made: Optional[str], of: Optional[str]) -> JSON:
        check_metrics([body])
        self.run(body).take([metric_of(body)], [], [])
        return {}

    def log_param(self, body: JSON, made: Optional[str], of: Optional[str]) -> JSON:
        run = self.run(body)
        run.check_params([body])
        run.take([], [body], [])
        return {}

    def set_tag(self, body: JSON, made: Optional[str], of: Optional[str]) -> JSON:
        self.run(body).take([], [], [body])
        return {}

    def delete_tag(self, body: JSON, made: Optional[str], of: Optional[str]) -> JSON:
        run = self.run(body)
        if run.tags.pop(str(body.get("key")), None) is None:
            message = "No tag with name: {} in run with id {}".format(body.get("key"), run.id)
            raise Refused(message, "RESOURCE_DOES_NOT_EXIST", 404)
        return {}

    def log_batch(self, body: JSON, made: Optional[str], of: Optional[str]) -> JSON:
        run = self.run(body)
        metrics, params, tags = (body.get(key) or [] for key in ("metrics", "params", "tags"))
        if len(metrics + params + tags) > 1000 or len(params) > 100 or len(tags) > 100:
            raise Refused("A batch logging request can contain at most 1000 in all, 100 params and 100 tags of these.")
        check_metrics(metrics)
        run.check_params(params)
        run.take(metrics, params, tags)
        return {}

    def log_inputs(self, body: JSON, made: Optional[str], of: Optional[str]) -> JSON:
        run = self.run(body)
        run.inputs["dataset_inputs"] += body.get("datasets") or []
        run.inputs["model_inputs"] += body.get("models") or []
        return {}

    def log_outputs(self, body: JSON, made: Optional[str], of: Optional[str]) -> JSON:
        self.run(body).outputs["model_outputs"] += body.get("models") or []
        return {}

    def log_model(self, body: JSON, made: Optional[str], of: Optional[str]) -> JSON:
        self.run(body)
        return {}

    def create_model(self, body: JSON, made: Optional[str], of: Optional[str]) -> JSON:
        if not body.get("source_run_id"):
            raise Refused("In a job a logged model must name its run: source_run_id.", "PERMISSION_DENIED", 403)
        run = self.run({"run_id": body["source_run_id"]})
        model = self.models[made or ""] = Model(made or "", dict(body, experiment_id=self.experiment_id), run.id)
        return {"model": model.shown()}

    def finish_model(self, body: JSON, made: Optional[str], of: Optional[str]) -> JSON:
        model = self.model(of)
        model.info["status"] = body.get("status") or model.info["status"]
        return {"model": model.shown()}

    def model_params(self, body: JSON, made: Optional[str], of: Optional[str]) -> JSON:
        self.model(of).params += body.get("params") or []
        return {}

    def model_tags(self, body: JSON, made: Optional[str], of: Optional[str]) -> JSON:
        model = self.model(of)
        model.tags.update((t["key"], t.get("value", "")) for t in body.get("tags") or [])
        return {"model": model.shown()}

    def delete_model_tag(self, body: JSON, made: Optional[str], of: Optional[str]) -> JSON:
        self.model(of).tags.pop(str(body.get("key")), None)
        return {}

    def put(self, owner: str, path: str, part: str, size: int) -> None:
        """A whole file that was received takes its place; an older one of this path goes."""
        self.check_owner(owner)
        name = uuid.uuid4().hex
        with self.lock:
            self.check_path(owner, path)
            os.replace(part, os.path.join(self.folder, "files", name))
            old = self.files.get((owner, path))
            self.files[owner, path] = name, size
            self.journal.append({"op": "file", "of": owner, "path": path, "file": name, "size": size})
        if old is not None:
            try:
                os.unlink(os.path.join(self.folder, "files", old[0]))
            except OSError:
                pass

    # ---- Questions.

    def check_path(self, owner: str, path: str) -> None:
        """What no artifact store keeps: a file where a folder is, a folder where a file is, a name that is too long."""
        parts = path.split("/")
        above = {"/".join(parts[:n]) for n in range(1, len(parts))}
        taken = any(
            whose == owner and (other in above or other.startswith(path + "/")) for whose, other in list(self.files)
        )
        if taken or any(len(part.encode("utf-8", "replace")) > 200 for part in parts) or len(path) > 1000:
            raise Refused("The artifact path {} cannot be kept: it is too long, or both file and folder.".format(path))
        if parts[0] == "mantik" and owner in self.runs:
            message = "The directory mantik of a run's artifacts is the gateway's own."
            raise Refused(message, "PERMISSION_DENIED", 403)

    def check_owner(self, owner: str) -> None:
        if owner not in self.runs and owner not in self.models:
            raise NotOurs

    def history(self, run: Run, key: str) -> List[JSON]:
        """Each point once, as MLflow keeps them."""
        points = {}  # type: Dict[Tuple[int, int, str], JSON]
        for entry in self.journal.lines():
            body = entry.get("body") or {}
            if entry["op"] == "call" and run.id in (body.get("run_id"), body.get("run_uuid")):
                found = body.get("metrics") or [] if entry["route"] == "runs/log-batch" else [body]
                for metric in found if entry["route"] in ("runs/log-batch", "runs/log-metric") else []:
                    if metric.get("key") == key:
                        step, at, _ = order(metric)
                        points.setdefault((step, at, str(metric.get("value"))), metric_of(metric))
        return list(points.values())

    def below(self, owner: str, folder: str) -> List[JSON]:
        """Files and folders right below one, as artifact lists have them."""
        self.check_owner(owner)
        top = folder.strip("/") + "/" if folder.strip("/") else ""
        found = {}  # type: Dict[str, JSON]
        for (whose, path), (_, size) in list(self.files.items()):
            if whose == owner and path.startswith(top):
                name, _, rest = path[len(top) :].partition("/")
                found[name] = {"path": top + name, "is_dir": bool(rest)} if rest else {"path": path, "is_dir": False}
                if not rest:
                    found[name]["file_size"] = size
        return [found[name] for name in sorted(found)]

    def ask(self, route: str, query: Dict[str, str], of: Optional[str]) -> JSON:
        """Raises NotOurs for what the gateway is to be asked."""
        if route == "runs/get":
            return {"run": self.run(query).shown()}
        if route == "metrics/get-history":
            return {"metrics": self.history(self.run(query), query.get("metric_key", ""))}
        if route == "artifacts/list":
            run = self.run(query)
            return {"root_uri": run.info["artifact_uri"], "files": self.below(run.id, query.get("path", ""))}
        if route == "logged-models/{}":
            return {"model": self.model(of).shown()}
        if route == "logged-models/{}/artifacts/directories":
            model = self.model(of)
            files = self.below(model.info["model_id"], query.get("artifact_directory_path", ""))
            return {"root_uri": model.info["artifact_uri"], "files": files}
        if route == "experiments/get-by-name" and query.get("experiment_name") == self.experiment:
            return {"experiment": self.shown_experiment()}
        if route == "experiments/get" and query.get("experiment_id") in ("0", self.experiment_id):
            return {"experiment": self.shown_experiment()}
        raise NotOurs

    def search_models(self, body: JSON) -> JSON:
        """Models of one run of this job. Raises NotOurs for what else is asked for."""
        found = re.fullmatch(r"\s*source_run_id\s*=\s*['\"](\w+)['\"]\s*", str(body.get("filter") or ""))
        if found is None:
            raise NotOurs
        run = self.run({"run_id": found.group(1)})
        return {"models": [m.shown() for m in self.models.values() if m.info["source_run_id"] == run.id]}

    def shown_experiment(self) -> JSON:
        where = "mlflow-artifacts:/0"
        return {
            "experiment_id": self.experiment_id,
            "name": self.experiment,
            "artifact_location": where,
            "lifecycle_stage": "active",
            "tags": [],
        }


CALLS = {
    ("POST", "runs/create"): Store.create_run,
    ("POST", "runs/update"): Store.update_run,
    ("POST", "runs/log-metric"): Store.log_metric,
    ("POST", "runs/log-parameter"): Store.log_param,
    ("POST", "runs/log-batch"): Store.log_batch,
    ("POST", "runs/log-inputs"): Store.log_inputs,
    ("POST", "runs/outputs"): Store.log_outputs,
    ("POST", "runs/log-model"): Store.log_model,
    ("POST", "runs/set-tag"): Store.set_tag,
    ("POST", "runs/delete-tag"): Store.delete_tag,
    ("POST", "logged-models"): Store.create_model,
    ("PATCH", "logged-models/{}"): Store.finish_model,
    ("POST", "logged-models/{}/params"): Store.model_params,
    ("PATCH", "logged-models/{}/tags"): Store.model_tags,
    ("DELETE", "logged-models/{}/tags/{}"): Store.delete_model_tag,
}  # type: Dict[Tuple[str, str], Callable[[Store, JSON, Optional[str], Optional[str]], JSON]]
"""Requests that change something: done here, and once more in MLflow by the gateway."""


def now() -> int:
    """Milliseconds since the epoch."""
    return int(time.time() * 1000)


def pairs(values: Dict[str, str]) -> List[JSON]:
    return [{"key": key, "value": value} for key, value in values.items()]


def order(metric: JSON) -> Tuple[int, int, float]:
    value = float(metric.get("value", 0))
    return int(metric.get("step") or 0), int(metric.get("timestamp") or 0), value if value == value else float("-inf")


def metric_of(body: JSON) -> JSON:
    names = ("key", "value", "timestamp", "step", "model_id", "dataset_name", "dataset_digest")
    return {name: body[name] for name in names if name in body}


def check_metrics(metrics: List[JSON]) -> None:
    for metric in metrics:
        try:
            order(metric)
        except (TypeError, ValueError):
            raise Refused("Metric {!r}: value, step and timestamp must be numbers.".format(metric.get("key")))
        if not metric.get("key"):
            raise Refused("Missing value for required parameter 'key'")
        check_key("metric", str(metric["key"]))


def check_key(kind: str, key: str) -> None:
    """As MLflow does."""
    if not KEY.fullmatch(key) or len(key) > 250 or any(part in ("", ".", "..") for part in key.split("/")):
        message = (
            "Invalid {} name: {!r}. Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), "
        )
        raise Refused((message + "spaces ( ), colons (:) and slashes (/).").format(kind, key[:300]))


def refuse_reserved(route: str, body: JSON) -> None:
    """As the gateway does: these tags are its own."""
    keys = [tag.get("key") for tag in body.get("tags") or [] if isinstance(tag, dict)]
    for key in keys + ([body.get("key")] if "tag" in route else []):
        if str(key).startswith(("mantik.", "mlflow.prompt.")):
            raise Refused(f"The tag {key} is the gateway's own and cannot be changed here.", "PERMISSION_DENIED", 403)


def route_of(path: str) -> Tuple[str, Optional[str], Optional[str]]:
    """With `{}` for the id of a logged model and for the key of its tag."""
    found = re.fullmatch(r"logged-models/(m-[0-9a-f]+)(/.*)?", path, re.DOTALL)
    if found is None:
        return path, None, None
    rest = found.group(2) or ""
    if rest.startswith("/tags/"):
        return "logged-models/{}/tags/{}", found.group(1), urllib.parse.unquote(rest[len("/tags/") :])
    return "logged-models/{}" + rest, found.group(1), None


def place_of(path: str) -> Tuple[str, str]:
    """Owner and relative path of `<experiment>/<run>/artifacts/...` and `<experiment>/models/<model>/artifacts/...`."""
    parts = path.strip("/").split("/")
    at = 2 if parts[1:2] == ["models"] else 1
    rest = parts[at + 2 :]
    if len(parts) < at + 2 or parts[at + 1] != "artifacts" or any(part in ("", ".", "..") for part in rest):
        raise NotOurs
    return parts[at], "/".join(rest)


AWAY = {"until": 0.0}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "mantik"
    wbufsize = 65536  # head and body in one packet
    disable_nagle_algorithm = True
    timeout = 600
    store: Store
    token = ""
    upstream = ("", "")

    def log_message(self, format: str, *args: Any) -> None:
        """The job's log is the user's."""

    def do(self) -> None:
        self.unread = True
        try:
            given = self.headers.get("Authorization", "").partition(" ")[2].strip()
            if not hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode()):
                raise Refused("The token is not that of this job.", "UNAUTHENTICATED", 401)
            with self.store.lock:
                pass  # until what an earlier start wrote is read
            self.act()
        except Refused as error:
            self.answer(error.body, error.status)
        except (TimeoutError, ConnectionError):
            self.close_connection = True
        except Exception as error:
            self.answer({"error_code": "INTERNAL_ERROR", "message": f"tracking beside the job: {error!r}"}, 400)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815

    def act(self) -> None:
        target = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(target.path)
        query = dict(urllib.parse.parse_qsl(target.query, keep_blank_values=True))
        files, call = FILES.fullmatch(path), API.fullmatch(path)
        if path.strip("/") == "health":
            return self.send(b"OK", "text/plain")
        if files is not None:
            return self.act_on_files(files.group(1), query)
        body = b"".join(self.received(MOST_BODY)) if self.command != "GET" else b""
        try:
            if call is None:
                raise NotOurs
            self.answer(self.called(call.group(1).rstrip("/"), query, body))
        except NotOurs:
            self.ask_gateway(body)

    def called(self, path: str, query: Dict[str, str], body: bytes) -> JSON:
        route, of, key = route_of(path)
        if (self.command, route) not in CALLS:
            with self.store.lock:
                if self.command == "GET":
                    return self.store.ask(route, query, of)
                if route == "logged-models/search":
                    return self.store.search_models(json.loads(body.decode() or "{}"))
            raise NotOurs
        try:
            content = json.loads(body.decode() or "{}")
            content = json.loads(content) if isinstance(content, str) else content
        except ValueError:
            raise Refused("The body is not valid JSON.")
        if not isinstance(content, dict):
            raise Refused("The body must be a JSON object.")
        plain = {CAPITAL.sub(r"_\1", k).lower() if k.lower() != k else k: v for k, v in content.items()}
        if key is not None:
            plain["key"] = key
        return self.store.call(self.command, route, plain, of)

    def act_on_files(self, path: Optional[str], query: Dict[str, str]) -> None:
        try:
            owner, relative = place_of(path if path is not None else query.get("path", ""))
            if self.command == "PUT" and relative:
                return self.put(owner, relative)
            if self.command != "GET":
                raise Refused("Artifacts are not deleted from a job.", "PERMISSION_DENIED", 403)
            if path is None:
                found = self.store.below(owner, relative)
                return self.answer({"files": [dict(f, path=f["path"].rsplit("/", 1)[-1]) for f in found]})
            self.store.check_owner(owner)
            self.get(owner, relative)
        except NotOurs:
            if self.command == "GET":
                return self.ask_gateway(b"")
            raise Refused("The artifact path is not of this run.", "PERMISSION_DENIED", 403)

    def put(self, owner: str, path: str) -> None:
        self.store.check_owner(owner)
        part = os.path.join(self.store.folder, "files", "part-" + uuid.uuid4().hex)
        size = 0
        try:
            with open(part, "wb") as to:
                for chunk in self.received():
                    to.write(chunk)
                    size += len(chunk)
                to.flush()
                os.fsync(to.fileno())
            self.store.put(owner, path, part, size)
        except Exception as error:
            try:
                os.unlink(part)
            except OSError:
                pass
            if not isinstance(error, OSError) or isinstance(error, (ConnectionError, socket.timeout)):
                raise
            self.close_connection = True
            raise Refused(f"The artifact {path} could not be kept beside the job: {error.strerror or error}")
        self.answer({})

    def get(self, owner: str, path: str) -> None:
        if (owner, path) not in self.store.files:
            raise Refused(f"There is no artifact {path}.", "RESOURCE_DOES_NOT_EXIST", 404)
        name, _ = self.store.files[owner, path]
        with open(os.path.join(self.store.folder, "files", name), "rb") as kept:
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(os.fstat(kept.fileno()).st_size))
            self.end_headers()
            shutil.copyfileobj(kept, self.wfile)

    def chunk_size(self) -> int:
        line = self.rfile.readline(100)
        if not line:
            raise ConnectionError
        return int(line.split(b";")[0], 16)

    def received(self, most: Optional[int] = None) -> Iterator[bytes]:
        """The body, as it comes; requests sends an empty file in chunks."""
        self.unread = False
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            sizes = iter(self.chunk_size, 0)
        else:
            sizes = iter([int(self.headers.get("Content-Length") or 0)])
        chunked, total = "Transfer-Encoding" in self.headers, 0
        for size in sizes:
            total += size
            if most is not None and total > most:
                self.close_connection = True
                raise Refused(f"The body has more than {most} bytes. Log it in smaller batches.", status=413)
            while size:
                data = self.rfile.read(min(size, 1 << 20))
                if not data:
                    raise ConnectionError
                size -= len(data)
                yield data
            if chunked:
                self.rfile.readline(10)
        while chunked and self.rfile.readline(1000) not in (b"\r\n", b"\n", b""):
            pass

    def ask_gateway(self, body: bytes) -> None:
        """Of what this job did not make. Its answer goes through as it is."""
        if not self.upstream[0]:
            raise Refused("This job cannot ask the gateway, and it made nothing of this name.", "BAD_REQUEST")
        if time.time() < AWAY["until"]:
            raise Refused("The gateway did not answer just now; it is asked again in a minute.", "BAD_REQUEST")
        request = urllib.request.Request(  # noqa: S310  the gateway's own address
            self.upstream[0].rstrip("/") + self.path,
            data=body or None,
            method=self.command,
            headers={"Authorization": "Bearer " + self.upstream[1], "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=UPSTREAM_SECONDS) as answer:  # noqa: S310
                self.send(answer.read(), answer.headers.get("Content-Type", "application/json"))
        except urllib.error.HTTPError as error:
            # Asking again and again, as MLflow's client does after 5xx, would hold up the training.
            self.send(error.read(), "application/json", error.code if error.code < 500 else 400)
        except (OSError, ValueError) as error:
            AWAY["until"] = time.time() + AWAY_SECONDS
            raise Refused(f"The gateway does not answer now: {error}", "BAD_REQUEST")

    def answer(self, content: JSON, status: int = 200) -> None:
        self.send(json.dumps(content).encode(), "application/json", status)

    def send(self, content: bytes, kind: str, status: int = 200) -> None:
        if self.unread and int(self.headers.get("Content-Length") or 0):
            self.close_connection = True  # its body is still on the way
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    allow_reuse_address = True  # its own port again, after it was killed

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in the middle is not our fault."""


def reached_at() -> str:
    """The address of this node that the job's other nodes know it by; empty when there is none."""
    for name in (os.environ.get("SLURMD_NODENAME", ""), socket.getfqdn(), socket.gethostname()):
        try:
            found = [entry[4][0] for entry in socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)]
        except OSError:
            continue
        for address in found:
            if name and not str(address).startswith("127."):
                return str(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # sends nothing: asks which way packets would go
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return ""


def serve() -> int:
    """Until the job ends. The port is that of an earlier start in the same job, which its ranks know."""
    given, parent = os.environ, os.getppid()
    many = int(given.get("tracker_nodes") or 1) > 1
    host = reached_at() if many else "127.0.0.1"
    if not host:
        os.write(2, b"this node has no IPv4 address that the others could reach\n")
        return HOPELESS
    Handler.token = given["tracker_token"]
    Handler.upstream = given.get("MLFLOW_TRACKING_URI", ""), given.get("MLFLOW_TRACKING_TOKEN", "")
    experiment = given.get("MANTIK_EXPERIMENT_NAME", ""), given.get("MANTIK_EXPERIMENT_ID", "")
    store = Handler.store = Store(given["tracker_folder"], given["tracker_run"], given["tracker_name"], *experiment)
    ended = threading.Event()
    signal.signal(STOP, lambda *_: ended.set())
    address = os.path.join(store.folder, "address")
    with store.lock:
        port = int(open(address).read().rsplit(":", 1)[1]) if os.path.exists(address) else 0
        server = Server(("0.0.0.0" if many else "127.0.0.1", port), Handler)  # noqa: S104  the token keeps others out
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with open(address + ".part", "w") as to:
            to.write("http://{}:{}\n".format(host, server.server_address[1]))
        os.replace(address + ".part", address)
        store.load()
    while not ended.wait(SYNC_SECONDS) and os.getppid() == parent:
        while True:
            with store.lock:
                more = store.journal.waits and not store.journal.flush() and store.journal.moves
            if not more:
                break
        store.journal.sync()
    # A disk or file system that hangs must not hold up the end of the job.
    threading.Timer(LAST_SECONDS, os._exit, (1,)).start()
    with store.lock:
        store.journal.append({"op": "end", "at": now()})
        while not store.journal.flush() and store.journal.moves:
            pass
        store.journal.sync()
        os._exit(0)


def main() -> int:
    """Keeps the endpoint alive: one that is killed, as for want of memory, is started again on its port."""
    parent = os.getppid()
    stop = threading.Event()
    signal.signal(STOP, lambda *_: stop.set())
    while True:
        child = os.fork()
        if child == 0:
            try:
                os._exit(serve())
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        done, told = 0, False
        while not done:
            if (stop.wait(0.5) or os.getppid() != parent) and not told:
                os.kill(child, STOP)
                told = True
            if told:
                time.sleep(0.02)
            done, status = os.waitpid(child, os.WNOHANG)
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1
        if told or code in (0, HOPELESS):
            return code
        if not os.path.exists(os.path.join(os.environ["tracker_folder"], "address")):
            return code  # it never began
        time.sleep(0.5)


if __name__ == "__main__":
    raise SystemExit(main())
