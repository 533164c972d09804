"""Searches that MLflow answers over everything: narrowed to what is the caller's, with pages of our own."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from gateway.errors import InvalidInput, Unavailable

UPSTREAM_PAGE = 1000
MOST_PAGES = 100
MOST_RESULTS = 1000

Item = dict[str, Any]


async def narrowed(
    fetch: Callable[[str], Awaitable[Item]], field: str, mine: Callable[[Item], bool], asked: Item
) -> Item:
    """One page of the caller's items. Its token counts these only: MLflow's would tell how many others there are.

    `fetch` brings MLflow's page for a token ("" is the first).
    """
    start, most = _number(asked.get("page_token"), 0), min(_number(asked.get("max_results"), 100), MOST_RESULTS)
    found: list[Item] = []
    token = ""
    for _ in range(MOST_PAGES):
        page = await fetch(token)
        found += [item for item in page.get(field, ()) if mine(item)]
        token = page.get("next_page_token", "")
        if not token or len(found) > start + most:
            break
    else:
        raise Unavailable("There is too much to search through.", next_step="Use a narrower filter.")
    answer: Item = {field: found[start : start + most]}
    if len(found) > start + most:
        answer["next_page_token"] = str(start + most)
    return answer


def _number(value: object, default: int) -> int:
    if value in (None, ""):
        return default
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidInput("max_results and page_token must be as given by a page before.")
    return int(text)


def pairs(asked: Item) -> list[tuple[str, str]]:
    """As a query: lists are repeated keys."""
    return [
        (key, str(item)) for key, value in asked.items() for item in (value if isinstance(value, list) else [value])
    ]


def from_pairs(query: Iterable[tuple[str, str]], lists: frozenset[str] = frozenset({"order_by", "stages"})) -> Item:
    """A query as the JSON body it stands for. Raises InvalidInput when a field comes twice."""
    found: Item = {}
    for key, value in query:
        if key in lists:
            found.setdefault(key, []).append(value)
        elif key in found:
            raise InvalidInput(f"The query has {key} twice.")
        else:
            found[key] = value
    return found
