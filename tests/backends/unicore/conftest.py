"""Fixtures of the tests over a UNICORE server; which server it is behind says the module's `proxy`."""

from pathlib import Path

import pytest

from tests.backends.unicore.proxy import Proxy
from tests.contract.test_unicore import UnicoreCase


@pytest.fixture
def case(tmp_path: Path, proxy: Proxy) -> UnicoreCase:
    return UnicoreCase(tmp_path, proxy.site)
