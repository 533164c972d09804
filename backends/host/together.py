"""Calls that come while others are under way go on together: many deeds for the price of one command."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from backends.errors import BackendError

AT_MOST = 16
"""Calls in one act."""
SIZE_MOST = 16 << 20
"""Bytes of all calls of one act, unless it has one call only."""
UNDER_WAY = 2
"""Acts at once: while the answer of one travels, the site is busy with the other."""


class Call(Protocol):
    """What a caller asks for."""

    @property
    def key(self) -> Hashable:
        """Two calls of one key never go in one act."""
        ...

    @property
    def size(self) -> int:
        """Bytes that it costs the act, roughly."""
        ...


C = TypeVar("C", bound=Call)
A = TypeVar("A")


@dataclass(slots=True, eq=False)
class _Waiting(Generic[C, A]):
    call: C
    answer: "asyncio.Future[A]"
    act: "_Act[C, A] | None" = None


@dataclass(slots=True, eq=False)
class _Act(Generic[C, A]):
    members: "list[_Waiting[C, A]]"
    task: "asyncio.Task[None] | None" = None


class Together(Generic[C, A]):
    """Puts concurrent calls into one `act`, which returns their answers in their order.

    A call waits only while `UNDER_WAY` acts are under way. A caller that is cancelled harms no other: the act goes on
    while one of its callers waits. An error that `act` raises is raised at each of its callers.
    With `seen_out` the call of a cancelled caller returns when its act is over: what comes after it comes after that.
    """

    def __init__(self, act: Callable[[Sequence[C]], Awaitable[Sequence[A]]], *, seen_out: bool = False) -> None:
        self._act = act
        self._seen_out = seen_out
        self._waiting: deque[_Waiting[C, A]] = deque()
        self._acts: list[_Act[C, A]] = []
        self._sending = False

    async def ask(self, call: C) -> A:
        """The answer to this call. Raises what the act raises."""
        waiting: _Waiting[C, A] = _Waiting(call, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._send_soon()
        try:
            return await waiting.answer
        except asyncio.CancelledError:
            self._leave(waiting)
            if self._seen_out and waiting.act is not None and waiting.act.task is not None:
                await asyncio.wait({waiting.act.task})
            raise

    def _leave(self, waiting: _Waiting[C, A]) -> None:
        """A caller is gone; an act that nobody waits for is broken off."""
        if not waiting.answer.cancel() and not waiting.answer.cancelled():
            waiting.answer.exception()  # came in this very moment, and is read by nobody else
        act = waiting.act
        if act is None:
            self._waiting.remove(waiting)
        elif act.task is not None and all(member.answer.cancelled() for member in act.members):
            act.task.cancel()

    def _send_soon(self) -> None:
        """Not at once: who asks in this very moment comes along."""
        if not self._sending:
            self._sending = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._sending = False
        while self._waiting and len(self._acts) < UNDER_WAY:
            act = _Act(self._take())
            for member in act.members:
                member.act = act
            self._acts.append(act)
            act.task = asyncio.get_running_loop().create_task(self._run(act))
            # Not in the task itself: one that is cancelled before it began never runs at all.
            act.task.add_done_callback(partial(self._over, act))

    def _over(self, act: _Act[C, A], _task: object) -> None:
        self._acts.remove(act)
        for member in act.members:
            member.answer.cancel()  # there is one, unless the act was broken off
        self._send_soon()

    def _take(self) -> list[_Waiting[C, A]]:
        """The calls of the next act, in the order they came."""
        taken: dict[Hashable, _Waiting[C, A]] = {}
        size = 0
        for waiting in self._waiting:
            size += waiting.call.size
            if len(taken) == AT_MOST or (taken and size > SIZE_MOST):
                break
            taken.setdefault(waiting.call.key, waiting)
        members = list(taken.values())
        for member in members:
            self._waiting.remove(member)
        return members

    async def _run(self, act: _Act[C, A]) -> None:
        try:
            answers = await self._act([member.call for member in act.members])
            for member, answer in zip(act.members, answers, strict=True):
                if not member.answer.done():
                    member.answer.set_result(answer)
        except Exception as error:  # it belongs to the callers
            for member in act.members:
                if not member.answer.done():
                    member.answer.set_exception(_own(error))


def _own(error: Exception) -> Exception:
    """An error of one caller alone: a traceback is written into it where it is raised."""
    return type(error)(error.message, text=error.text) if isinstance(error, BackendError) else error
