"""A cron expression in plain words, by cron-descriptor where it is right about cron."""

import re

from cron_descriptor import DescriptionTypeEnum, ExpressionDescriptor, FormatError, MissingFieldError, Options
from cron_descriptor import WrongArgumentError as WrongArgument

from gateway.schedules.expression import normalized, read

_SPECIAL = re.compile(r"[l#]")


def words(expression: str) -> str:
    """One sentence without its full stop; empty where the library would say something wrong. Never raises for an
    expression that `read` takes."""
    five = normalized(expression)
    *_, day, _, weekday = five.split()
    if any("," in field and _SPECIAL.search(_without_names(field)) for field in (day, weekday)):
        return ""
    options = Options()
    options.use_24hour_time_format = True
    try:
        descriptor = ExpressionDescriptor(_plain(five), options)
        text: str = descriptor.get_description(DescriptionTypeEnum.FULL)
        of_week: str = descriptor.get_description(DescriptionTypeEnum.DAYOFWEEK)
    except (FormatError, MissingFieldError, WrongArgument):
        return ""
    if "*" in (day, weekday) or not of_week:
        return text
    # It joins the two fields of days as it likes; cron asks for one of them, or for both.
    bare = re.sub(r"^, (or |and )?(only )?", "", of_week)
    return text.replace(of_week, f", {'and only' if read(expression).both_days else 'or'} {bare}", 1)


def _plain(five: str) -> str:
    """Without spellings that it reads word by word: 1-1, and Sunday as 7 at the end of a week."""
    *others, weekday = five.split()
    one = [re.sub(r"\b(\w+)-\1\b(/\d+)?", r"\1", field) for field in (*others, weekday)]
    one[-1] = "*" if one[-1] in ("0-7", "0-6") else one[-1]
    return " ".join(one).upper()


def _without_names(field: str) -> str:
    return re.sub(r"\b[a-z]{3}\b", "", field)
