"""Whether a run fits into the caps of its project, and the sentence when it does not. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from gateway.budgets.cost import CONFIG, NODE_SIZE, Figure, WorstCase
from gateway.errors import Conflict, FieldProblem, GatewayError, InvalidInput

SMALLEST = 1e-6
"""Hours that are no more than how numbers are stored."""


class Guard(StrEnum):
    """What happens to a run above a cap."""

    OFF = "off"
    WARN = "warn"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Sums:
    """One measure of a project: its caps, and what its runs of the month come to. In hours; None is no cap."""

    unit: str
    """As a person reads it: core-hours, GPU-hours."""
    per_run: float | None
    per_month: float | None
    spent: float
    """By runs that ended in the month."""
    reserved: float
    """The worst case of live runs."""

    @property
    def used(self) -> float:
        return self.spent + self.reserved


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a run is above a cap, or why that cannot be said."""

    cap: str
    """Which one, in a word for keys."""
    text: str
    """A clause without a full stop."""
    next_step: str
    problems: tuple[FieldProblem, ...] = ()
    passes: bool = False
    """Whether it may pass without anybody's doing: a month ends, and live runs cost less than they may."""

    def error(self) -> GatewayError:
        """For who asked for the run."""
        kind = InvalidInput if self.problems else Conflict
        text = f"The budget guard of the project refuses the run: {self.text}."
        return kind(text, next_step=self.next_step, problems=self.problems)

    @property
    def warning(self) -> str:
        """For who may submit it nevertheless."""
        return f"Budget guard of the project: {self.text}."


def judge(sums: tuple[Sums, Sums], worst: WorstCase, month: str) -> Verdict | None:
    """None when the run fits. What has no cap is not looked at; a cap and a cost that is not known do not fit."""
    pairs = [(one, figure) for one, figure in zip(sums, (worst.core, worst.gpu), strict=True) if _capped(one)]
    return next(_unknown(pairs), None) or next(_per_run(pairs), None) or next(_per_month(pairs, month), None)


_Pairs = list[tuple[Sums, Figure]]


def _capped(one: Sums) -> bool:
    return one.per_run is not None or one.per_month is not None


def _unknown(pairs: _Pairs) -> Iterator[Verdict]:
    for one, figure in pairs:
        if figure.hours is None:
            text = f"it is not known how many {one.unit} the run may cost"
            problems = tuple(_problem(name) for name in figure.missing)
            step = "" if problems else "Repeat a run whose config gives Resources.Nodes, CPUsPerNode and Runtime."
            yield Verdict(f"unknown {one.unit}", text, step, problems)


def _problem(missing: str) -> FieldProblem:
    if missing == CONFIG:
        return FieldProblem(CONFIG, "is a file of the repository that was not read yet")
    if missing == NODE_SIZE:
        text = "the site charges whole nodes and their size is not known; run `mantik connections check`"
        return FieldProblem("", text)
    return FieldProblem(f"{CONFIG}.{missing}", "give it, and not 0")


def _per_run(pairs: _Pairs) -> Iterator[Verdict]:
    for one, figure in pairs:
        hours = figure.hours or 0.0
        if one.per_run is not None and hours > one.per_run + SMALLEST:
            text = f"it may cost {shown(hours)} {one.unit}, and the cap for one run is {shown(one.per_run)}"
            step = "Ask for less in Resources, or have a maintainer raise the cap: mantik budget set"
            yield Verdict(f"run {one.unit}", text, step)


def _per_month(pairs: _Pairs, month: str) -> Iterator[Verdict]:
    for one, figure in pairs:
        hours = figure.hours or 0.0
        if one.per_month is not None and one.used + hours > one.per_month + SMALLEST and hours > 0:
            left = max(0.0, one.per_month - one.used)
            text = (
                f"it may cost {shown(hours)} {one.unit}, and of the {shown(one.per_month)} for {month} "
                f"{shown(left)} are left ({shown(one.spent)} spent, {shown(one.reserved)} reserved by live runs)"
            )
            step = "Wait for live runs to end, ask for less, or have a maintainer raise the cap: mantik budget set"
            yield Verdict(f"month {one.unit}", text, step, passes=True)


def shown(hours: float) -> str:
    """Hours as a person reads them: at most two decimals, and never 0 for more than nothing."""
    if 0 < abs(hours) < 0.005:
        return "less than 0.01"
    return f"{hours:.2f}".rstrip("0").rstrip(".")
