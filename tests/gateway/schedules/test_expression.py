"""Reading expressions: what cron takes is taken, everything else is refused by its name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidInput
from gateway.schedules.cron import LAST
from gateway.schedules.description import words
from gateway.schedules.expression import ALIASES, normalized, read


@pytest.mark.parametrize(
    ("expression", "refused"),
    [
        ("", "needs 5 fields and has 0"),
        ("* * * *", "needs 5 fields and has 4"),
        ("0 * * * * *", "has 6 fields; seconds and years are not supported"),
        ("0 0 * * * * 2026", "has 7 fields"),
        ("60 * * * *", "minute: 60 is out of range. Give 0 to 59."),
        ("* 24 * * *", "hour: 24 is out of range. Give 0 to 23."),
        ("* * 0 * *", "day of month: 0 is out of range. Give 1 to 31."),
        ("* * * 13 *", "month: 13 is out of range. Give 1 to 12."),
        ("* * * * 8", "day of week: 8 is out of range. Give 0 to 7."),
        ("* * * foo *", "month: 'foo' is no name here. Give 1 to 12, or jan to dec."),
        ("* * * * jan", "day of week: 'jan' is no name here. Give 0 to 7, or sun to sat."),
        ("mon * * * *", "minute: 'mon' is no name here. Give 0 to 59."),
        ("*/0 * * * *", "minute: the step of */0 is 0."),
        ("5/15 * * * *", "minute: 5/15 has a step without a range. Write 5-59/15."),
        ("* 22-4 * * *", "hour: 22-4 runs backwards. Write two ranges with a comma."),
        ("* * * * fri-mon", "day of week: fri-mon runs backwards."),
        ("-5 * * * *", "minute: '-5' is not understood."),
        ("1,,2 * * * *", "minute: '' is not understood."),
        ("?  * * * *", "minute: ?: ? is not supported. Write *."),
        ("0 0 LW * *", "day of month: LW (last working day) is not supported."),
        ("0 0 15W * *", "day of month: 15w: W (nearest working day) is not supported."),
        ("0 0 L-3 * *", "day of month: l-3: L stands alone for the last day of the month."),
        ("L * * * *", "minute: l: L is for the day of month and the day of week."),
        ("0 0 * * L5", "day of week: l5: write the weekday before the L, as 5L: the last Friday."),
        ("0 0 * * L", "day of week: l: write the weekday before the L"),
        ("0 0 * * 1#6", "day of week: 1#6 asks for week 6. Give 1 to 5, or L for the last."),
        ("0 0 1#2 * *", "day of month: 1#2: # is for the day of week"),
        ("H * * * *", "minute: H (a time by hash) is not supported."),
        ("R(1-5) * * * *", "minute: r(1-5): R (a random time) is not supported."),
        ("0~30 * * * *", "minute: 0~30: ~ (a random time) is not supported."),
        ("@reboot", "@reboot is not supported"),
        ("@every 5m", "@every is not supported. Write a step"),
        ("@noon", "@noon is not known. Known are @hourly, @daily"),
        ("TZ=Asia/Tokyo 0 0 * * *", "an assignment such as TZ= is not supported. Give the zone as timeZone."),
        ("0 0 30 2 *", "'0 0 30 2 *' never fires"),
        ("0 0 31 2,4,6,9,11 *", "never fires"),
        ("0 0 */31 2 1", None),
        ("0 0 31 */2 *", None),
        ("0 0 30 2 1", None),
        ("٣ * * * *", "minute: '٣' is not understood"),
        ("* " * 150, "has more than 200 characters"),
    ],
)
def test_what_is_refused(expression: str, refused: str | None) -> None:
    if refused is None:
        read(expression)
        return
    with pytest.raises(InvalidInput) as caught:
        read(expression)
    assert caught.value.message.startswith("cronExpression: ")
    assert refused in caught.value.message


@pytest.mark.parametrize(
    ("expression", "same"),
    [
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * sun", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 0 * * 1-7/2", "0 0 * * 0,1,3,5"),
        ("0 0 * * Mon-FRI", "0 0 * * 1-5"),
        ("0 0 1 JAN,jul *", "0 0 1 1,7 *"),
        ("5-5 0 * * *", "5 0 * * *"),
        ("50-59/40 0 * * *", "50 0 * * *"),
        ("  0\t0  * * * ", "0 0 * * *"),
        ("0 0 * * 7L", "0 0 * * 0L"),
        ("0 0 * * tue#2", "0 0 * * 2#2"),
    ],
)
def test_two_spellings_of_one_expression(expression: str, same: str) -> None:
    assert read(expression) == read(same)


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases(alias: str) -> None:
    assert read(alias.upper()) == read(ALIASES[alias])
    assert normalized(alias) == ALIASES[alias]


def test_weekdays_of_a_month() -> None:
    found = read("0 0 * * 1#2,fri#5,5L,3")
    assert found.nth_weekdays == {(1, 2), (5, 5), (5, LAST)}
    assert found.weekdays == {3}


def test_days_are_both_needed_only_where_a_field_begins_with_a_star() -> None:
    assert not read("0 0 1-31 * 1").both_days
    assert read("0 0 */2 * 1").both_days
    assert read("0 0 1 * */2").both_days
    assert not read("0 0 1,*/2 * 1").both_days, "it is the first character that counts"


@given(st.text(alphabet="0123456789*/,-LW#?@ abcdefmonjh~", max_size=40))
def test_no_text_is_an_accident(text: str) -> None:
    refused = ""
    try:
        assert isinstance(words(text), str)
    except InvalidInput as error:
        refused = error.message
    assert refused == "" or refused.startswith("cronExpression: ")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("30 2 * * 1-5", "At 02:30, Monday through Friday"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("0 0 1 * 1", "At 00:00, on day 1 of the month, or on Monday"),
        ("0 0 */2 * 1", "At 00:00, every 2 days, and only on Monday"),
        ("0 0 1 jan mon-fri", "At 00:00, on day 1 of the month, or Monday through Friday, only in January"),
        ("0 0 L * *", "At 00:00, on the last day of the month"),
        ("0 0 * * 5L", "At 00:00, on the last Friday of the month"),
        ("0 0 * * 0-7", "At 00:00"),
        ("@monthly", "At 00:00, on day 1 of the month"),
        ("0 0 * * 1#2,5L", ""),
    ],
)
def test_in_plain_words(expression: str, said: str) -> None:
    assert words(expression) == said
