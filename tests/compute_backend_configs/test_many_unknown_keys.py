"""A config of nothing but unknown keys is refused soon: suggestions end after the first hundred."""

import pytest

from compute_backend_configs import InvalidConfig, parse_config_data


def test_suggestions_end_after_a_hundred() -> None:
    with pytest.raises(InvalidConfig) as caught:
        parse_config_data({f"Resources{n}": 1 for n in range(300)})
    messages = [problem.message for problem in caught.value.problems]
    assert sum("did you mean" in message for message in messages) <= 100
    assert sum("unknown key" in message for message in messages) > 100 or len(messages) <= 101
