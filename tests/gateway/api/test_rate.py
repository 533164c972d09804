"""The bucket of requests."""

import pytest

from gateway.api.rate import RateExceeded, RateLimit
from gateway.errors import error_class


def test_a_bucket_fills_evenly() -> None:
    now = 0.0
    limit = RateLimit(60, lambda: now)
    for _ in range(60):
        limit.take("a")
    with pytest.raises(RateExceeded) as caught:
        limit.take("a")
    assert caught.value.retry_after == 1
    now = 2.0
    limit.take("a")
    limit.take("a")
    with pytest.raises(RateExceeded):
        limit.take("a")


def test_the_client_rebuilds_the_class_of_an_error() -> None:
    assert error_class("TOO_MANY").status == RateExceeded(1).status
