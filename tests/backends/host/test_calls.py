"""The answers of several calls in one command, however much of them arrives."""

import pytest

from backends.host.calls import CUT, Submit, answers, start_words
from backends.host.places import Place
from backends.host.shell import Completed

WHOLE = (
    b"mantik-answer 1 0 6 0\nanswer\n"
    b"mantik-answer 0 65 0 4\ngone\n"
    b"mantik-answer 2 0 25 0\n\nmantik-answer 0 0 1 0\nx\n\n"
)
EACH = [
    Completed(65, b"", b"gone"),
    Completed(0, b"answer", b""),
    Completed(0, b"\nmantik-answer 0 0 1 0\nx\n", b""),
]


def test_each_call_gets_its_own_answer_in_whatever_order_they_come() -> None:
    assert answers(Completed(0, WHOLE, b""), 3) == EACH


def test_what_a_login_shell_prints_before_does_no_harm() -> None:
    assert answers(Completed(0, b"Welcome!\nmantik-answer\n" + WHOLE, b""), 3) == EACH


@pytest.mark.parametrize("arrived", range(len(WHOLE)))
def test_an_answer_that_is_cut_anywhere_is_whole_or_none(arrived: int) -> None:
    found = answers(Completed(0, WHOLE[:arrived], b""), 3)
    assert all(answer in (CUT, whole) for answer, whole in zip(found, EACH, strict=True))
    assert found[2] is CUT, "the last byte is missing"


def test_a_command_that_failed_before_any_answer_is_the_answer_of_all() -> None:
    failed = Completed(1, b"", b"mantik: the work directory belongs to bob")
    assert answers(failed, 3) == [failed] * 3


def test_a_command_that_died_after_an_answer_leaves_the_others_open() -> None:
    assert answers(Completed(137, WHOLE[:29], b"Killed"), 2) == [CUT, EACH[1]]


def test_the_common_beginning_of_command_lines_is_sent_once() -> None:
    calls = [
        Submit(Place("/w", run, "1"), k, ("env", "A=b", "sbatch", f"-J{run}", "x")) for run, k in (("r", 1), ("s", 2))
    ]
    assert start_words(calls) == [
        "3",
        "env",
        "A=b",
        "sbatch",
        "r",
        "1",
        "1",
        "2",
        "-Jr",
        "x",
        "s",
        "1",
        "2",
        "2",
        "-Js",
        "x",
    ]
    assert start_words(calls[:1]) == ["5", "env", "A=b", "sbatch", "-Jr", "x", "r", "1", "1", "0"]
