"""What an MLproject may cost: each is refused before it costs anything."""

import asyncio
import gzip
import io
import tarfile
from pathlib import Path

import pytest

from gateway import mlproject
from gateway.mlproject import InvalidProject, ProjectReader
from gateway.mlproject_limits import OverLimit, check_command, check_file

BOMB = (
    "a0: &a0 {k: v}\n"
    + "".join(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 7))
    + "entry_points: {main: {command: echo}}\n"
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "YAML aliases"),
        ("a: &a [*a]\n", "YAML aliases"),
        ("#" * 300_000, "more than 262144 bytes"),
        ("python_env: ../../etc/passwd", "python_env must be a path inside"),
        ("conda_env: /etc/passwd", "conda_env must be a path inside"),
    ],
)
def test_a_costly_or_prying_file_is_refused(text: str, words: str) -> None:
    with pytest.raises(OverLimit, match=words):
        check_file("MLproject", text.encode())


def test_a_usual_file_with_an_alias_is_taken() -> None:
    check_file("MLproject", b"a: &a {x: 1}\nb: *a\nconda_env: envs/conda.yaml\n")


def test_a_command_does_not_format_or_grow() -> None:
    check_command("MLproject", "echo {x} {{y}}", {"x": "1"})
    for template in ("echo {x:>60000000}", "echo {x!r}"):
        with pytest.raises(OverLimit, match="takes no format"):
            check_command("MLproject", template, {"x": "1"})
    with pytest.raises(OverLimit, match="more than 1048576 characters"):
        check_command("MLproject", "{x}" * 2000, {"x": "1" * 1000})


async def test_a_reader_that_takes_too_long_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, text = io.BytesIO(), b"entry_points: {main: {command: echo}}"
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("MLproject")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    bundle = tmp_path / "a.tar.gz"
    await asyncio.to_thread(bundle.write_bytes, gzip.compress(packed.getvalue()))
    reader = ProjectReader()
    with monkeypatch.context() as short:
        short.setattr(mlproject, "ANSWER_SECONDS", 0.0)
        with pytest.raises(InvalidProject, match="seconds to read"):
            await reader.command(bundle, "MLproject", "main", {})
    assert (await reader.command(bundle, "MLproject", "main", {})).command == "echo"
    reader.close()
