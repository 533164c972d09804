import pytest

from backends.batch_script import values
from backends.errors import InvalidJob
from backends.reasons import Reason


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (values.name, "budget-a"),
        (values.name, "p_12345.gpu"),
        (values.names, "batch,gpu"),
        (values.constraint, "gpu&(a100|h100)"),
        (values.constraint, "[rack1*2&rack2*4]"),
        (values.constraint, "!old"),
    ],
)
def test_what_slurm_takes(read: object, text: str) -> None:
    assert callable(read)
    assert read("Resources.Queue", text) == text


@pytest.mark.parametrize("read", [values.name, values.names, values.constraint])
@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "a b",
            "a\n#SBATCH --uid=0",
            "a\r--wrap=x",
            "a\t--uid=0",
            'a"b',
            "a'b",
            "a\\",
            "a#b",
            "a;b",
            "$(id)",
        ),
        *("`id`", "--uid=0", "-x", "a\x00", "ä", "a\u2028b", "a\x0b", "a\u00a0b", "%j"),
    ],
)
def test_nothing_breaks_out_of_its_line(read: object, text: str) -> None:
    assert callable(read)
    with pytest.raises(InvalidJob, match=r"^Resources\.Queue cannot be") as caught:
        read("Resources.Queue", text)
    assert caught.value.reason is Reason.INVALID_CONFIG
