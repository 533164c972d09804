"""Reading a cron expression. `croniter` reads plain fields; what it takes and cron does not is refused before."""

import re
from functools import lru_cache

from croniter import CroniterError, croniter

from gateway.errors import InvalidInput
from gateway.schedules.cron import LAST, Cron, ever_fires

FIELD = "cronExpression"
LONGEST = 200
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
NAMES = ("minute", "hour", "day of month", "month", "day of week")
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_DAY, _MONTH, _WEEKDAY = 2, 3, 4
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_WORDS = {_MONTH: {word: n for n, word in enumerate(_MONTHS, 1)}, _WEEKDAY: {word: n for n, word in enumerate(_DAYS)}}
_PLAIN = re.compile(r"(?:\*|(?P<low>[0-9]{1,3}|[a-z]{3})(?:-(?P<high>[0-9]{1,3}|[a-z]{3}))?)(?:/(?P<step>[0-9]{1,4}))?")
_LAST_WEEKDAY = re.compile(r"(?P<day>[0-9]|[a-z]{3})l")
_NTH_WEEKDAY = re.compile(r"(?P<day>[0-9]|[a-z]{3})#(?P<nth>[0-9]+)")


@lru_cache(maxsize=4096)
def read(text: str) -> Cron:
    """The fields of an expression. Raises InvalidInput that names the field and what to write instead."""
    fields = _fields(text.strip().lower())
    plain = list(fields)
    weekdays: set[tuple[int, int]] = set()
    for place, field in enumerate(fields):
        kept = []
        for item in field.split(","):
            special = _special(place, item)
            if special is not None:
                weekdays.add(special)
            elif place == _DAY and item == "l":
                kept.append(item)
            else:
                kept.append(_plain(place, item))
        plain[place] = ",".join(kept)
    cron = _cron(fields, plain, weekdays)
    if not ever_fires(cron):
        raise _refused(f"{text!r} never fires: no month that it names has such a day. Change the day or the month.")
    return cron


def normalized(text: str) -> str:
    """The same expression in five fields, in lower case, without needless blanks. Raises InvalidInput."""
    return " ".join(_fields(text.strip().lower()))


def _fields(text: str) -> list[str]:
    if len(text) > LONGEST:
        raise _refused(f"has more than {LONGEST} characters. Shorten it.")
    if text.startswith("@"):
        return _alias(text).split()
    if "=" in text:
        raise _refused("an assignment such as TZ= is not supported. Give the zone as timeZone.")
    fields = text.split()
    if len(fields) in (6, 7):
        raise _refused(f"has {len(fields)} fields; seconds and years are not supported. Give the 5 fields of cron.")
    if len(fields) != len(NAMES):
        raise _refused(f"needs 5 fields and has {len(fields)}. Give {', '.join(NAMES)}, for example 30 2 * * 1-5.")
    return fields


def _alias(text: str) -> str:
    if text in ALIASES:
        return ALIASES[text]
    word = text.split()[0]
    if word == "@reboot":
        raise _refused("@reboot is not supported: a schedule does not depend on when the gateway starts.")
    if word == "@every":
        raise _refused("@every is not supported. Write a step, for example */15 * * * *.")
    raise _refused(f"{word} is not known. Known are {', '.join(ALIASES)}.")


def _special(place: int, item: str) -> tuple[int, int] | None:
    """(weekday, nth in its month) of `5L` and `1#2`; None for what is neither."""
    if place != _WEEKDAY:
        return None
    if (last := _LAST_WEEKDAY.fullmatch(item)) is not None:
        return _value(place, last["day"]) % 7, LAST
    if (nth := _NTH_WEEKDAY.fullmatch(item)) is not None:
        if not 1 <= int(nth["nth"]) <= 5:
            raise _refused(f"{NAMES[place]}: {item} asks for week {nth['nth']}. Give 1 to 5, or L for the last.")
        return _value(place, nth["day"]) % 7, int(nth["nth"])
    return None


def _plain(place: int, item: str) -> str:
    """An item as croniter reads it the way cron does. Raises InvalidInput."""
    found = _PLAIN.fullmatch(item)
    if found is None:
        raise _refused(f"{NAMES[place]}: {_why(place, item)}")
    if found["step"] is not None and int(found["step"]) == 0:
        raise _refused(f"{NAMES[place]}: the step of {item} is 0. Give 1 or more.")
    if found["low"] is None:
        return item
    low = _value(place, found["low"])
    if found["high"] is None:
        if found["step"] is not None:
            most = _BOUNDS[place][1]
            raise _refused(f"{NAMES[place]}: {item} has a step without a range. Write {low}-{most}/{found['step']}.")
        return item
    high = _value(place, found["high"])
    if high < low:
        raise _refused(f"{NAMES[place]}: {item} runs backwards. Write two ranges with a comma.")
    # croniter takes a range of one for the whole field.
    return str(low) if low == high else item


def _why(place: int, item: str) -> str:
    """Why an item is none of cron's, by its name."""
    known = (
        ("?", "? is not supported. Write *."),
        ("w", "W (nearest working day) is not supported. Give days, or days of the week."),
        ("~", "~ (a random time) is not supported. Give one value."),
        ("h", "H (a time by hash) is not supported. Give one value."),
        ("r", "R (a random time) is not supported. Give one value."),
        ("#", "# is for the day of week, as 1#2: the second Monday."),
    )
    for sign, text in known:
        if sign in item and not item.isalpha():
            return f"{item}: {text}"
    if item in {"?", "w", "h", "r"}:
        return next(text for sign, text in known if sign == item)
    if ("l" in item and not item.isalpha()) or item == "l":
        if place == _WEEKDAY:
            return f"{item}: write the weekday before the L, as 5L: the last Friday."
        if place == _DAY:
            return f"{item}: L stands alone for the last day of the month."
        return f"{item}: L is for the day of month and the day of week."
    if item == "lw":
        return "LW (last working day) is not supported. Give days, or days of the week."
    return f"{item!r} is not understood. Give numbers, ranges such as 1-5, steps such as */10, and commas."


def _value(place: int, word: str) -> int:
    low, high = _BOUNDS[place]
    if not word.isdigit():
        number = _WORDS.get(place, {}).get(word)
        if number is None:
            raise _refused(f"{NAMES[place]}: {word!r} is no name here. Give {low} to {high}{_some_names(place)}.")
        return number
    if not low <= int(word) <= high:
        raise _refused(f"{NAMES[place]}: {word} is out of range. Give {low} to {high}.")
    return int(word)


def _some_names(place: int) -> str:
    words = list(_WORDS.get(place, {}))
    return f", or {words[0]} to {words[-1]}" if words else ""


def _cron(fields: list[str], plain: list[str], weekdays: set[tuple[int, int]]) -> Cron:
    only_special = not plain[_WEEKDAY]
    try:
        sets, *_ = croniter.expand(" ".join([*plain[:_WEEKDAY], "*" if only_special else plain[_WEEKDAY]]))
    except CroniterError as error:
        raise _refused(f"is not understood ({error}).") from None
    minutes, hours, days, months, week = (_numbers(place, found) for place, found in enumerate(sets))
    return Cron(
        minutes=minutes,
        hours=hours,
        days=frozenset(days),
        last_day="l" in fields[_DAY].split(","),
        months=frozenset(months),
        weekdays=frozenset() if only_special else frozenset(week),
        nth_weekdays=frozenset(weekdays),
        both_days=fields[_DAY].startswith("*") or fields[_WEEKDAY].startswith("*"),
        fixed=not fields[0].startswith("*") and not fields[1].startswith("*"),
    )


def _numbers(place: int, found: list[int | str]) -> tuple[int, ...]:
    low, high = _BOUNDS[place]
    if "*" in found:
        return tuple(range(low, 7 if place == _WEEKDAY else high + 1))
    return tuple(sorted({n for n in found if isinstance(n, int)}))


def _refused(text: str) -> InvalidInput:
    return InvalidInput(f"{FIELD}: {text}")
