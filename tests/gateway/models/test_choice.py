"""Which of several models is meant, without a server."""

import pytest

from gateway.errors import InvalidInput
from gateway.models.choice import MOST_LISTED, chosen
from gateway.tracking.logged import Logged


def test_a_long_list_is_cut() -> None:
    many = [Logged(f"epoch-{n}", "", "r", f"m-{n}") for n in range(MOST_LISTED + 5)]
    with pytest.raises(
        InvalidInput, match=r"the run logged 25 models. There is: epoch-0 \(m-0\), .*, and 5 more\."
    ) as got:
        chosen(many, None)
    assert "epoch-20" not in got.value.message
    assert chosen(many, "m-24").path == "epoch-24"
