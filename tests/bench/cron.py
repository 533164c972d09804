"""Firings of random expressions in all zones of the tz database, 2000 to 2037, against two independent oracles."""

import random
from collections import Counter
from itertools import islice

from tests.bench.table import Figure
from tests.gateway.schedules.cases import ZONES, Case, Windows, answers, expressions, known_difference, window

CASES, POOL, TOGETHER = 100_000, 4000, 20


def measure(*, small: bool = False) -> list[Figure]:
    chance = random.Random(2037)
    wanted = 1000 if small else CASES
    pool = list(islice(expressions(chance), 200 if small else POOL))
    differ: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    done = firings = 0
    while done < wanted:
        zone = ZONES[(done // TOGETHER) % len(ZONES)]
        start = Windows(zone, chance).start()
        through = window(zone, start)
        for expression in chance.sample(pool, TOGETHER):
            case = Case(expression, zone, start)
            found = answers(case, through)
            done += 1
            firings += len(found.ours)
            if found.debian not in (None, found.ours):
                differ["the rules of Debian cron"] += 1
                print("differs from Debian's rules:", case)
            if found.cronsim != found.ours:
                kind = known_difference(case, through)
                if kind is None:
                    differ["cronsim"] += 1
                    print("differs from cronsim:", case)
                else:
                    kinds[kind] += 1
    return [_figure(name, differ[name], done, firings, kinds) for name in ("the rules of Debian cron", "cronsim")]


def _figure(name: str, differ: int, done: int, firings: int, kinds: Counter[str]) -> Figure:
    known = "; ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items())) if name == "cronsim" else ""
    text = f"{done} cases in {len(ZONES)} zones, {firings} firings" + (f"; documented: {known}" if known else "")
    return Figure(f"cron: cases that differ from {name}", "0", str(differ), differ == 0, text)
