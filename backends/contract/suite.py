"""All tests of the contract, to be imported into a test module that has a fixture `backend_case`."""

import pytest

pytest.register_assert_rewrite(
    *(f"backends.contract.test_{name}" for name in ("cancel", "fence", "files", "finish", "poll", "prepare", "start"))
)

from backends.contract.test_cancel import *  # noqa: E402, F403
from backends.contract.test_fence import *  # noqa: E402, F403
from backends.contract.test_files import *  # noqa: E402, F403
from backends.contract.test_finish import *  # noqa: E402, F403
from backends.contract.test_poll import *  # noqa: E402, F403
from backends.contract.test_prepare import *  # noqa: E402, F403
from backends.contract.test_start import *  # noqa: E402, F403
