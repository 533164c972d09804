"""Each word that a user may see has its sentence, and the database refuses no word."""

from typing import get_args

from gateway.schedules import words
from gateway.schedules.reference import page
from gateway.schemas import schedules as wire


def test_each_word_is_described() -> None:
    for kind, meanings in (
        (words.ScheduleState, words.STATES),
        (words.FiringState, words.FIRINGS),
        (words.Overlap, words.OVERLAPS),
        (words.Misfire, words.MISFIRES),
        (words.Reason, words.REASONS),
    ):
        assert set(meanings) == set(kind)
        assert all(f"| `{word}` | {meaning}" in page() for word, meaning in meanings.items())


def test_the_wire_has_the_same_words() -> None:
    for kind, literal in (
        (words.ScheduleState, wire.ScheduleState),
        (words.FiringState, wire.FiringState),
        (words.Overlap, wire.OverlapPolicy),
        (words.Misfire, wire.MisfirePolicy),
    ):
        assert set(get_args(literal)) == {str(word) for word in kind}
