"""Runs of one project: what is asked of the gateway. `Runs` and `AsyncRuns` drive it."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.client import call
from gateway.client.call import Call
from gateway.client.flow import Flow, Pause
from gateway.client.names import Place, Ref, as_id
from gateway.client.session import Session
from gateway.errors import Conflict, InvalidInput, NotFound, Unavailable
from gateway.schemas.runs import FINAL_STATES, EventView, Preview, RunDetails, RunView, State, SubmitRun, SubmittedRun
from gateway.schemas.wire import Page

_PLAN_SECONDS = 180.0
"""The gateway may fetch the repository meanwhile."""
_FIRST_LOOK, _SLOWEST_LOOK = 0.5, 5.0


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a listing holds."""

    states: Sequence[State] = ()
    experiment: uuid.UUID | None = None
    created_by: uuid.UUID | None = None
    text: str | None = None


class RunFlows:
    """The flows on runs of one project."""

    def __init__(self, session: Session, place: Place) -> None:
        self.session, self._place = session, place

    def path(self, ref: Ref) -> Flow[str]:
        """Of one run, by id or by a name that only one run of the project has."""
        runs = yield from self._place()
        found = as_id(ref)
        if found is None:
            query = {"text": str(ref)}
            page = yield from self.session.perform(call.page(runs, RunView, None, **query))
            matches = [r for r in page.items if r.name == ref]
            if len(matches) > 1:
                ids = ", ".join(str(r.run_id) for r in matches[:5])
                raise Conflict(f"{len(matches)} runs are named {ref}, the newest: {ids}.", next_step="Give the id.")
            if not matches:
                raise NotFound(f"There is no run named {ref}.", next_step="To see them: mantik runs list")
            found = matches[0].run_id
        return f"{runs}/{found}"

    def submit(self, body: SubmitRun) -> Flow[SubmittedRun]:
        """The key makes a submit that is sent twice one run."""
        runs = yield from self._place()
        key = str(uuid.uuid4())
        made = Call("POST", runs, SubmittedRun.model_validate_json, body=body, key=key, seconds=60.0)
        return (yield from self.session.perform(made))

    def preview(self, body: SubmitRun) -> Flow[Preview]:
        runs = yield from self._place()
        made = call.post(runs, Preview, body, seconds=_PLAN_SECONDS, dryRun=True)
        return (yield from self.session.perform(made))

    def page(self, chosen: RunFilter, cursor: str | None, limit: int) -> Flow[Page[RunView]]:
        runs = yield from self._place()
        query = {
            "state": list(chosen.states),
            "experimentRepositoryId": chosen.experiment,
            "createdBy": chosen.created_by,
            "text": chosen.text,
            "limit": limit,
        }
        return (yield from self.session.perform(call.page(runs, RunView, cursor, **query)))

    def get(self, ref: Ref) -> Flow[RunDetails]:
        path = yield from self.path(ref)
        return (yield from self.session.perform(call.get(path, RunDetails)))

    def events(self, ref: Ref, cursor: str | None) -> Flow[Page[EventView]]:
        path = yield from self.path(ref)
        return (yield from self.session.perform(call.page(f"{path}/events", EventView, cursor)))

    def cancel(self, ref: Ref) -> Flow[RunView]:
        path = yield from self.path(ref)
        asked = Call("POST", f"{path}/cancel", RunView.model_validate_json, repeatable=True)
        return (yield from self.session.perform(asked))

    def delete(self, ref: Ref, cancel: bool, site_directory: bool) -> Flow[None]:
        path = yield from self.path(ref)
        yield from self.session.perform(call.delete(path, cancel=cancel, siteDirectory=site_directory))

    def wait(
        self, ref: Ref, timeout: float | None, on_change: Callable[[RunDetails], None] | None, patience: float
    ) -> Flow[RunDetails]:
        """Look until the run has ended; looks become rarer. `timeout` counts the pauses."""
        path = yield from self.path(ref)
        pause, waited, away, state = _FIRST_LOOK, 0.0, 0.0, ""
        while True:
            try:
                run = yield from self.session.perform(call.get(path, RunDetails))
            except Unavailable:
                if away >= patience:
                    raise
                away += pause
            else:
                away = 0.0
                if run.state != state:
                    state, pause = run.state, _FIRST_LOOK
                    if on_change is not None:
                        on_change(run)
                if run.state in FINAL_STATES:
                    return run
            if timeout is not None and waited >= timeout:
                raise StillLive(f"The run is {state or 'not known'} after {timeout:g} s.", next_step="It goes on.")
            pause = min(pause, timeout - waited) if timeout is not None else pause
            yield Pause(pause)
            waited += pause
            pause = min(max(pause, _FIRST_LOOK) * 1.3, _SLOWEST_LOOK)


class StillLive(Conflict):
    """The run has not ended yet."""

    exit_code = 12


def position(text: str) -> str:
    """A position in a log. Raises InvalidInput."""
    generation, dot, offset = text.partition(".")
    if not (dot and generation.isdecimal() and offset.isdecimal()):
        raise InvalidInput(
            f"{text} is no position in a log.", next_step="Give <generation>.<offset>, as it was printed, e.g. 0.5120"
        )
    return text
