import dataclasses
import json
import os
from pathlib import Path

import pytest

from compute_backend_configs import InvalidConfig, Report, check_file, load_config
from tests.compute_backend_configs.texts import FULL, SMALL


def refused(path: Path) -> str:
    with pytest.raises(InvalidConfig) as caught:
        load_config(path)
    return str(caught.value)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mantik.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert load_config(path).config.kind == "ssh"


def test_problems_bear_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mantik.json"
    path.write_text('{"Local": {},\n"Quue": 1}')
    assert refused(path).startswith(f"{path}:2: Quue: unknown key `Quue`")


def test_no_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.yaml") == f"{tmp_path}/none.yaml: does not exist"
    assert refused(tmp_path) == f"{tmp_path}: is not a file"
    (tmp_path / "loop").symlink_to("loop")
    assert refused(tmp_path / "loop").startswith(f"{tmp_path}/loop: ")
    assert refused(tmp_path / ("n" * 300)).startswith(f"{tmp_path}/nnn")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == f"{tmp_path}/pipe: is not a file"


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mantik.yaml"
    path.write_text(SMALL)

    def denied(*_: object, **__: object) -> None:  # the tests may run as root, whom no mode stops
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert refused(path) == f"{path}: cannot be read: Permission denied"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": the config is empty"),
        (b"Local: {}\n# \xff\n", ":2: is not UTF-8 text"),
        ("Local: {}".encode("utf-16"), ":1: is not UTF-8 text"),
        (b"#" * (1024 * 1024 + 1), ": larger than 1 MiB, so it is not read"),
    ],
)
def test_contents_that_are_no_config(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mantik.yaml"
    path.write_bytes(content)
    assert refused(path) == f"{path}{message}"


def test_report_of_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "mantik.yaml"
    path.write_text(FULL.replace("1.5T", "16"))
    report = check_file(path)
    config = load_config(path).config.to_published()
    assert (report.file, report.ok, report.config) == (str(path), True, config)
    assert [problem.severity for problem in report.problems] == ["warning"]
    assert json.loads(json.dumps(report.to_dict())) == {
        "file": str(path),
        "ok": True,
        "problems": [dataclasses.asdict(report.problems[0])],
        "config": config,
    }


def test_report_of_a_bad_file(tmp_path: Path) -> None:
    path = tmp_path / "mantik.yaml"
    path.write_text(SMALL + "Quue: 1\nSingularityImage: image.sif\nExclud: []\n")
    report = check_file(path)
    assert (report.ok, report.config) == (False, None)
    found = [(problem.line, problem.severity) for problem in report.problems]
    assert found == [(3, "error"), (4, "warning"), (5, "error")]
    assert check_file(tmp_path / "none") == Report(
        str(tmp_path / "none"), False, check_file(tmp_path / "none").problems, None
    )
    assert report.to_dict()["problems"][0]["message"].startswith("unknown key `Quue`")
