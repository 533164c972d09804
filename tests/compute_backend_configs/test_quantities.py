import pytest

from compute_backend_configs import Duration, MemorySize, parse_config
from tests.compute_backend_configs.texts import errors, resources, warnings

GIB = 1024**3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1_800),
        ("12h", 43_200),
        ("1d", 86_400),
        ("90s", 90),
        ("30min", 1_800),
        ("1h30min", 5_400),
        ("1d12h", 129_600),
        ("1d 12h 5m 1s", 129_901),
        ("2H", 7_200),
        ("2-00:00:00", 172_800),
        ("1-23:59:59", 172_799),
        ("12:30:00", 45_000),
        ("100:00:00", 360_000),
        ("00:00:30", 30),
        ("0", 0),
    ],
)
def test_runtime(text: str, seconds: int) -> None:
    loaded = parse_config(resources(f"Runtime: {text}"))
    assert loaded.config.resources.runtime == Duration(seconds)
    assert loaded.warnings == ()
    quoted = parse_config(resources(f"Runtime: '{text}'"))
    assert quoted.config == loaded.config


@pytest.mark.parametrize(
    "text",
    [
        "-1",
        "-30m",
        "1.5h",
        "1e3",
        "30:00",
        "12:60:00",
        "1-24:00:00",
        "soon",
        "h",
        "''",
        "true",
        "[1h]",
        "9999999d",
        "m5",
    ],
)
def test_no_runtime(text: str) -> None:
    (message,) = errors(resources(f"Runtime: {text}"))
    assert message.startswith("mantik.yaml:4: Resources.Runtime: must be ")


def test_a_bare_runtime_is_seconds_with_a_warning() -> None:
    assert parse_config(resources("Runtime: 90")).config.resources.runtime == Duration(90)
    assert warnings(resources("Runtime: 90")) == [
        "mantik.yaml:4: Resources.Runtime: 90 is read as 90 seconds, as UNICORE does; write 90s, or 90m for minutes"
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0"), (90, "1m30s"), (86_400, "1d"), (129_600, "1d12h"), (3_661, "1h1m1s")]
)
def test_duration_as_text(seconds: int, text: str) -> None:
    assert str(Duration(seconds)) == text
    assert Duration.parse(text) == Duration(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16G", 16 * GIB),
        ("500M", 500 * 1024**2),
        ("16 GiB", 16 * GIB),
        ("16GB", 16 * GIB),
        ("16gib", 16 * GIB),
        ("1.5T", 1536 * GIB),
        ("2048K", 2 * 1024**2),
        ("1P", 1024**5),
        ("512B", 512),
    ],
)
def test_memory(text: str, size: int) -> None:
    loaded = parse_config(resources(f"MemoryPerNode: {text}"))
    assert loaded.config.resources.memory_per_node == MemorySize(size)
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    "text", ["0", "0G", "-16G", "16X", "G", "1e3", "true", "1,5G", "16 G B", "2048P", "{}", "16iB", ".5G", "NaN"]
)
def test_no_memory(text: str) -> None:
    (message,) = errors(resources(f"MemoryPerNode: {text}"))
    assert message.startswith("mantik.yaml:4: Resources.MemoryPerNode: must be ")


@pytest.mark.parametrize("text", ["16", "'16'"])
def test_bare_memory_is_mebibytes_with_a_warning(text: str) -> None:
    assert parse_config(resources(f"MemoryPerNode: {text}")).config.resources.memory_per_node == MemorySize(16 << 20)
    assert warnings(resources(f"MemoryPerNode: {text}")) == [
        "mantik.yaml:4: Resources.MemoryPerNode: 16 is read as 16 MiB, NOT gigabytes, as the published client does; "
        "write 16M, or 16G for gigabytes"
    ]


def test_mebibytes_are_rounded_up() -> None:
    assert MemorySize(1).mebibytes == 1
    assert MemorySize(1024**2).mebibytes == 1
    assert MemorySize(1024**2 + 1).mebibytes == 2
    assert MemorySize.parse("16G").mebibytes == 16_384


@pytest.mark.parametrize(("size", "text"), [(16 * GIB, "16G"), (1536 * GIB, "1536G"), (512, "512B")])
def test_memory_as_text(size: int, text: str) -> None:
    assert str(MemorySize(size)) == text
    assert MemorySize.parse(text) == MemorySize(size)


@pytest.mark.parametrize("value", ["0", "-1", "true", "1.5", "1e3", "many", "[1]", "0x10", "010", "10000001", "1_000"])
@pytest.mark.parametrize("key", ["Nodes", "TotalCPUs", "CPUsPerNode", "TasksPerNode", "CPUsPerTask"])
def test_no_count(key: str, value: str) -> None:
    (message,) = errors(resources(f"{key}: {value}"))
    assert message.startswith(f"mantik.yaml:4: Resources.{key}: must be a whole number from 1 to 10000000, not ")


def test_no_gpus_is_a_count() -> None:
    assert parse_config(resources("GPUsPerNode: 0")).config.resources.gpus_per_node == 0
    assert errors(resources("GPUsPerNode: -1"))[0].startswith("mantik.yaml:4: Resources.GPUsPerNode: must be ")


def test_quotes_around_a_count_change_nothing() -> None:
    assert parse_config(resources("Nodes: '2'")).config == parse_config(resources("Nodes: 2")).config
