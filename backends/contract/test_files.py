"""`stat`, `list` and `read`: by ranges, inside the run's directory; and what the user gives arrives as it was."""

import asyncio

import pytest

from backends.contract.case import BackendCase
from backends.contract.deeds import Deed, GrowsLog, Links, Prints, ShowsVariable, WritesArguments
from backends.errors import JobNotFound

MEGABYTE = 1 << 20
HOSTILE = {
    "QUOTES": 'it\'s "quoted" \\ and `ticked`',
    "LINES": "one\ntwo\n\nthree",
    "LAST_LINE": "ends with a line\n",
    "EXPANSION": "$HOME $(touch pwned) ${PATH} `id` !! ~ $((1+1))",
    "GLOBS": "* ? [a-z] {a,b} /*",
    "UNICODE": "Größe 数 🚀 \u00a0",
    "JSON": '{"a": ["b", "$c", {"d": null}], "e": "\\n"}',
    "BLANKS": "  two  \t blanks  ",
    "CONTROL": "\x01\x1b[31m\r",
    "OPTION": "--help",
    "HERE": "END\nEOF\nMANTIK\n",
    "LONG": "x'\"$" * 2500,
    "EMPTY": "",
}


async def test_secrets_arrive_as_they_are(backend_case: BackendCase) -> None:
    deeds = [ShowsVariable(f"SECRET_{name}", name) for name in HOSTILE]
    async with backend_case.open() as backend:
        secrets = {f"SECRET_{name}": value for name, value in HOSTILE.items()}
        status = await backend_case.ended(backend, *deeds, secrets=secrets)
        for name, value in HOSTILE.items():
            got = await backend.read(status.ref.handle, f"outputs/{name}", 0, MEGABYTE, area="run")
            assert got.decode() == value, name


async def test_parameters_arrive_as_they_are(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        status = await backend_case.ended(backend, WritesArguments(tuple(HOSTILE.values()), "arguments"))
        got = await backend.read(status.ref.handle, "outputs/arguments", 0, MEGABYTE, area="run")
        assert got.decode().split("\0")[:-1] == list(HOSTILE.values())


async def test_the_log_is_read_by_ranges(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        status = await backend_case.ended(backend, Prints("0123456789"))
        handle = status.ref.handle
        for offset, limit, expected in ((0, 4, b"0123"), (4, 100, b"456789"), (10, 5, b""), (999, 5, b""), (3, 0, b"")):
            assert await backend.read(handle, "mantik.log", offset, limit) == expected
        info = await backend.stat(handle, "mantik.log")
        assert (info.path, info.size, info.is_directory) == ("mantik.log", 10, False)
        assert info.identity == status.log_identity


async def test_bytes_that_are_no_text(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        handle = (await backend_case.ended(backend, Prints("no line end \x01\x7f"))).ref.handle
        assert await backend.read(handle, "mantik.log", 0, 100) == b"no line end \x01\x7f"


async def test_the_end_of_a_huge_log_comes_without_the_rest(backend_case: BackendCase) -> None:
    """A backend that read all of it would not be done in time."""
    size = backend_case.huge
    async with backend_case.open() as backend:
        status = await backend_case.ended(backend, GrowsLog(size, "the end"))
        assert status.log_size == size + len("the end")
        async with asyncio.timeout(backend_case.patience):
            assert await backend.read(status.ref.handle, "mantik.log", size, 100) == b"the end"


async def test_a_directory_is_listed_by_name(backend_case: BackendCase) -> None:
    deeds: list[Deed] = [WritesArguments(("x",), name) for name in ("b", "a", "c")]
    async with backend_case.open() as backend:
        handle = (await backend_case.ended(backend, *deeds)).ref.handle
        listed = await backend.list(handle, "outputs", area="run")
        assert [info.path for info in listed if info.size == 2] == ["a", "b", "c"] or [
            info.path for info in listed if info.size == 2
        ] == ["outputs/a", "outputs/b", "outputs/c"]
        top = await backend.list(handle, area="run")
        assert any(info.is_directory and info.path == "outputs" for info in top)


async def test_names_are_taken_as_they_are(backend_case: BackendCase) -> None:
    names = ("a;b", "a", "c d", "g=h&i", "j+k", "l?m#n")
    deeds: list[Deed] = [WritesArguments((name,), name) for name in names]
    async with backend_case.open() as backend:
        handle = (await backend_case.ended(backend, *deeds)).ref.handle
        for name in names:
            assert name.encode() in await backend.read(handle, f"outputs/{name}", 0, 100, area="run")


async def test_what_is_not_there_is_not_found(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        handle = await backend_case.prepared(backend, backend_case.spec())
        with pytest.raises(JobNotFound):
            await backend.read(handle, "mantik.log", 0, 10)
        with pytest.raises(JobNotFound):
            await backend.stat(handle, "no/such")
        with pytest.raises(JobNotFound):
            await backend.list(handle, "no/such")


async def test_no_path_leaves_the_run(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        status = await backend_case.ended(backend, Links("link", "/etc/passwd"), Links("up", "../../.."))
        handle = status.ref.handle
        for path in ("../../../etc/passwd", "/etc/passwd", "outputs/link", "outputs/../../../x"):
            with pytest.raises(JobNotFound):
                await backend.read(handle, path, 0, 10, area="run")
        for path in ("..", "../outputs", "/"):
            with pytest.raises(JobNotFound):
                await backend.list(handle, path)
        with pytest.raises(JobNotFound):
            await backend.list(handle, "outputs/up", area="run")


async def test_the_file_of_secrets_is_not_read(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        handle = await backend_case.prepared(backend, backend_case.spec(secrets={"TOKEN": "s3cret"}))
        with pytest.raises(JobNotFound):
            await backend.read(handle, "env", 0, 100)
        with pytest.raises(JobNotFound):
            await backend.read(handle, "1/env", 0, 100, area="run")
