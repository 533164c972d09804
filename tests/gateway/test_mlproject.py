"""MLproject files, read by MLflow's own reader: what runs is what `mlflow run` would run."""

import asyncio
import gzip
import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from gateway.mlproject import EntryPointCommand, InvalidProject, ProjectReader

ROOT = Path(__file__).parents[2]
TYPED = b"""
name: typed
entry_points:
  main:
    parameters:
      alpha: {type: float, default: 0.5}
      name: {type: string, default: plain}
      needed: string
    command: "python train.py --alpha {alpha} --name {name} --needed {needed}"
  other:
    command: "echo other"
"""
PATHS = b"""
name: paths
entry_points:
  main:
    parameters:
      data: {type: path, default: data/input.csv}
      where: {type: uri, default: "https://example.org/a.csv"}
    command: "python train.py {data} {where}"
"""


@pytest.fixture(scope="module")
def reader() -> Iterator[ProjectReader]:
    """One child process for all tests here: MLflow takes seconds to import."""
    reader = ProjectReader()
    yield reader
    reader.close()


class Project:
    def __init__(self, reader: ProjectReader, folder: Path) -> None:
        self._reader, self._folder, self._bundle = reader, folder, folder / "none"

    def holds(self, files: Mapping[str, bytes]) -> "Project":
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        self._bundle = self._folder / f"{abs(hash(tuple(files.items())))}.tar.gz"
        self._bundle.write_bytes(gzip.compress(packed.getvalue()))
        return self

    async def command(
        self, entry_point: str = "main", path: str = "MLproject", **parameters: object
    ) -> EntryPointCommand:
        return await self._reader.command(self._bundle, path, entry_point, parameters)

    async def refused(self, entry_point: str = "main", path: str = "MLproject", **parameters: object) -> str:
        with pytest.raises(InvalidProject) as caught:
            await self.command(entry_point, path, **parameters)
        text = str(caught.value)
        assert "Traceback" not in text
        assert "\n" not in text
        return text


@pytest.fixture
def project(reader: ProjectReader, tmp_path: Path) -> Project:
    return Project(reader, tmp_path)


async def test_defaults_fill_what_is_not_given(project: Project) -> None:
    project.holds({"MLproject": TYPED})
    found = await project.command(needed="x")
    assert found == EntryPointCommand("python train.py --alpha 0.5 --name plain --needed x", ".")


async def test_given_values_count_and_others_are_added(project: Project) -> None:
    project.holds({"MLproject": TYPED})
    found = await project.command(needed=1, alpha=2, extra=True)
    assert found.command == "python train.py --alpha 2 --name plain --needed 1 --extra true"


async def test_a_missing_parameter_is_named(project: Project) -> None:
    text = await project.holds({"MLproject": TYPED}).refused()
    assert text == "mlflowParameters: entry point 'main' needs needed. Give each as -P name=value."


async def test_a_float_that_is_no_number_is_named(project: Project) -> None:
    text = await project.holds({"MLproject": TYPED}).refused(needed="x", alpha="fast")
    assert text == "mlflowParameters.alpha: 'fast' is no number, and its type is float."


async def test_an_unknown_entry_point_names_those_there_are(project: Project) -> None:
    text = await project.holds({"MLproject": TYPED}).refused("mian", needed="x")
    assert text == "MLproject has no entry point 'mian'. It has: main, other."


async def test_a_file_is_an_entry_point_as_for_mlflow(project: Project) -> None:
    project.holds({"MLproject": b"name: plain\n", "train.py": b"", "run.sh": b"", "deep/eval.py": b""})
    assert (await project.command("train.py", lr=0.1)).command == "python train.py --lr 0.1"
    assert (await project.command("deep/eval.py")).command == "python deep/eval.py"
    assert (await project.command("run.sh")).command == "bash run.sh"
    assert "no entry point 'gone.py'. It declares none." in await project.refused("gone.py")


@pytest.mark.parametrize("path", ["sub/dir/MLproject", "sub/dir", "./sub/dir/"])
async def test_a_project_in_a_subdirectory(project: Project, path: str) -> None:
    project.holds({"MLproject": b"name: top\n", "sub/dir/MLproject": TYPED, "sub/dir/train.py": b""})
    assert (await project.command(path=path, needed="x")).project_path == "sub/dir"
    assert (await project.command("train.py", path=path)).command == "python train.py"


async def test_a_project_that_is_not_there_names_where_there_is_one(project: Project) -> None:
    project.holds({"train.py": b"", "sub/MLproject": TYPED})
    assert await project.refused() == (
        "There is no MLproject at 'MLproject' in the repository at this commit. It has: sub/MLproject."
    )
    assert "no file of the name MLproject" in await project.holds({"train.py": b""}).refused()


@pytest.mark.parametrize("path", ["../MLproject", "/etc/MLproject", "a/../../MLproject"])
async def test_a_path_stays_inside_the_repository(project: Project, path: str) -> None:
    project.holds({"MLproject": TYPED})
    assert "must be a path inside the repository" in await project.refused(path=path, needed="x")


async def test_a_path_is_one_on_the_site_as_it_was_written(project: Project) -> None:
    project.holds({"MLproject": PATHS})
    assert (await project.command()).command == "python train.py data/input.csv https://example.org/a.csv"
    given = await project.command(data="/scratch/me/a b.csv")
    assert given.command == "python train.py '/scratch/me/a b.csv' https://example.org/a.csv"


async def test_a_uri_for_a_path_and_a_path_for_a_uri_are_refused(project: Project) -> None:
    project.holds({"MLproject": PATHS})
    assert "mlflowParameters.data: a `path` is a path on the site" in await project.refused(data="s3://b/k")
    assert "mlflowParameters.where: 'local.csv' is no URI" in await project.refused(where="local.csv")


@pytest.mark.parametrize(
    "value",
    [
        "$(touch pwned)",
        "`id`",
        "a'b\"c",
        "; rm -rf /",
        "a\nb",
        "ü 数 🚀",
        "{name}",
        "%s",
        "--flag",
        "",
        "*",
        "x" * 9000,
    ],
)
async def test_hostile_values_arrive_as_they_are(project: Project, value: str, tmp_path: Path) -> None:
    spec = b"name: p\nentry_points:\n  main:\n    parameters: {v: string}\n    command: 'printf \"%s\\\\0\" {v}'\n"
    found = await project.holds({"MLproject": spec}).command(v=value, extra=value)
    bash = await asyncio.create_subprocess_exec("bash", "-c", found.command, cwd=tmp_path, stdout=subprocess.PIPE)
    out, _ = await bash.communicate()
    assert bash.returncode == 0
    assert out.decode().split("\0")[:-1] == [value, "--extra", value]
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["x; touch pwned", "$(id)", "a b", "a\nb", "`id`"])
async def test_a_hostile_name_of_a_parameter_is_refused(project: Project, name: str) -> None:
    project.holds({"MLproject": TYPED})
    text = await project.refused(**{"needed": "x", name: "1"})
    assert "is no name of a parameter" in text


@pytest.mark.parametrize(
    "text",
    [
        b"name: [unclosed",
        b"\tname: tab",
        b"- a\n- list\n",
        b"just text",
        b"\xff\xfe\x00binary",
        b"name: x\nentry_points: 7\n",
        b"name: x\nentry_points: {main: 7}\n",
        b"name: x\nentry_points: {main: {command: 7}}\n",
        b"name: x\nentry_points: {main: {command: 'run {unknown}'}}\n",
        b"name: x\nentry_points: {main: {command: 'run {'}}\n",
        b"name: !!python/object/apply:os.system ['touch /tmp/pwned-by-mlproject']\n",
    ],
)
async def test_a_broken_file_is_one_clear_sentence(project: Project, text: bytes) -> None:
    refusal = await project.holds({"MLproject": text}).refused()
    assert refusal.startswith("MLproject ")
    assert len(refusal) > len("MLproject cannot be read: ")
    assert not Path("/tmp/pwned-by-mlproject").exists()


async def test_an_environment_of_mlflow_is_not_used_and_said(project: Project) -> None:
    spec = b"name: p\nconda_env: conda.yaml\nentry_points: {main: {command: run}}\n"
    found = await project.holds({"MLproject": spec, "conda.yaml": b"dependencies: [python]\n"}).command()
    assert found.command == "run"
    (warning,) = found.warnings
    assert "conda_env is not used on a site" in warning


async def test_the_reader_starts_again_when_its_process_dies(tmp_path: Path) -> None:
    reader = ProjectReader()
    project = Project(reader, tmp_path).holds({"MLproject": TYPED})
    await project.command("other")
    assert reader._pool is not None
    for process in list(reader._pool._processes.values()):
        process.kill()
        process.join()
    assert (await project.command(needed="again")).command.endswith("--needed again")
    reader.close()


GATEWAY = """\
import asyncio, sys, time
from pathlib import Path
from gateway.mlproject import ProjectReader

if __name__ == "__main__":
    reader = ProjectReader()
    asyncio.run(reader.command(Path(sys.argv[1]), "MLproject", "other", {}))
    print(*reader._pool._processes, flush=True)
    time.sleep(600)
"""


def test_the_reader_ends_with_a_gateway_that_is_killed(project: Project, tmp_path: Path) -> None:
    project.holds({"MLproject": TYPED})
    program = tmp_path / "killed_gateway.py"
    program.write_text(GATEWAY)
    words = [sys.executable, program, project._bundle]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT)}) as gateway:
        assert gateway.stdout is not None
        reader = psutil.Process(int(gateway.stdout.readline()))
        gateway.kill()
    reader.wait(20)
