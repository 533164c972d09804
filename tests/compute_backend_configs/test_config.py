import pytest
from pydantic import ValidationError

from compute_backend_configs import (
    Apptainer,
    ComputeBackendConfig,
    Duration,
    FirecrestSite,
    LocalSite,
    MemorySize,
    SshSite,
    TaskLayout,
    parse_config,
    parse_config_data,
)
from tests.compute_backend_configs.texts import FULL, SMALL, resources

RESOURCES = "\nResources: {Queue: batch}\n"


def test_every_key_of_the_published_format_is_read() -> None:
    loaded = parse_config(FULL)
    config = loaded.config
    assert loaded.warnings == ()
    assert config.kind == "unicore"
    assert config.unicore_api_url == "https://unicore.example.org/SITE/rest/core"
    assert config.exclude == ("*.sif", "data/")
    environment = config.environment
    assert environment.apptainer is not None
    assert environment.apptainer.path == "/images/train.sif"
    assert environment.apptainer.type == "remote"
    assert environment.apptainer.options == ("--nv", "-B", "/data sets:/data")
    assert environment.python is None
    assert environment.modules == ("Python/3.11", "3.10", "2024")
    assert environment.pre_run_command_on_login_node == ("git fetch",)
    assert environment.pre_run_command_on_compute_node == ("module list", "echo 'a b'")
    assert environment.post_run_command_on_compute_node == ("date\nhostname\n",)
    assert environment.post_run_command_on_login_node == ("ls",)
    asked = config.resources
    assert (asked.queue, asked.reservation, asked.node_constraints, asked.qos) == (
        "batch",
        "maintenance",
        "[rack1|rack2]&gpu",
        "high",
    )
    assert (asked.nodes, asked.total_cpus, asked.cpus_per_node, asked.gpus_per_node) == (2, 16, 8, 0)
    assert (asked.tasks_per_node, asked.cpus_per_task) == (4, 2)
    assert asked.runtime == Duration(45_000)
    assert asked.memory_per_node == MemorySize(1536 * 1024**3)


def test_variables_keep_their_text() -> None:
    assert parse_config(FULL).config.environment.variables == {
        "SWITCH": "on",
        "BIG": "1e3",
        "OCTAL": "010",
        "VERSION": "1.50",
        "TRUTH": "true",
        "NUMBER": "4",
        "HOSTS": "$(scontrol show hostnames)",
        "JSON": '{"a": [1, 2]}',
        "EMPTY": "",
    }


def test_each_kind_of_site() -> None:
    firecrest = "Firecrest: {ApiUrl: https://f.example.org/v2, TokenUrl: https://t.example.org, Machine: daint}"
    config = parse_config(firecrest + RESOURCES).config
    assert config.kind == "firecrest"
    site = {"ApiUrl": "https://f.example.org/v2", "TokenUrl": "https://t.example.org", "Machine": "daint"}
    assert config.firecrest == FirecrestSite.model_validate(site)
    config = parse_config("SSH: {Hostname: login, Port: 2222}" + RESOURCES).config
    assert (config.kind, config.ssh) == ("ssh", SshSite(Hostname="login", Port=2222))
    assert parse_config(SMALL).config.ssh == SshSite(Hostname="login.example.org", Port=22)
    config = parse_config("Site: Big Machine" + RESOURCES).config
    assert (config.kind, config.site) == ("site", "Big Machine")


@pytest.mark.parametrize("text", ["Local: {}", "Local:", '{"Local": {}}', "Local: null"])
def test_local_needs_nothing_else(text: str) -> None:
    loaded = parse_config(text)
    assert (loaded.config.kind, loaded.config.local, loaded.warnings) == ("local", LocalSite(), ())
    assert loaded.config.resources.queue is None


def test_local_takes_resources_without_a_queue() -> None:
    assert parse_config("Local: {}\nResources: {Runtime: 30m}").config.resources.runtime == Duration(1800)


def test_python_is_a_path_or_a_mapping() -> None:
    plain = parse_config(SMALL + "Environment: {Python: /venvs/a}").config
    mapping = parse_config(SMALL + "Environment: {Python: {Path: /venvs/a}}").config
    assert plain == mapping
    assert plain.environment.python is not None
    assert plain.environment.python.path == "/venvs/a"


def test_images_are_local_unless_said_otherwise() -> None:
    config = parse_config(SMALL + "Environment: {Apptainer: {Path: images/a.sif}}").config
    assert config.environment.apptainer == Apptainer(Path="images/a.sif", Type="local")


def test_remote_images_may_begin_with_a_variable_of_the_site() -> None:
    config = parse_config(SMALL + "Environment: {Apptainer: {Path: $PROJECT/a.sif, Type: remote}}").config
    assert config.environment.apptainer == Apptainer(Path="$PROJECT/a.sif", Type="remote")


@pytest.mark.parametrize(
    ("lines", "layout"),
    [
        ("Nodes: 1", TaskLayout(None, None)),
        ("CPUsPerNode: 8", TaskLayout(8, None)),
        ("CPUsPerNode: 8\nTasksPerNode: 2", TaskLayout(2, 4)),
        ("CPUsPerNode: 8\nCPUsPerTask: 2", TaskLayout(4, 2)),
        ("CPUsPerNode: 8\nCPUsPerTask: 2\nTasksPerNode: 1", TaskLayout(1, 2)),
        ("CPUsPerTask: 2\nTasksPerNode: 3", TaskLayout(3, 2)),
    ],
)
def test_layout(lines: str, layout: TaskLayout) -> None:
    assert parse_config(resources(lines)).config.resources.layout == layout


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ("Nodes: 1", None),
        ("CPUsPerNode: 8", "8"),
        ("CPUsPerTask: 3", "3"),
        ("CPUsPerNode: 8\nTasksPerNode: 2", "4"),
        ("TasksPerNode: 2", None),
    ],
)
def test_srun_cpus_per_task(lines: str, value: str | None) -> None:
    config = parse_config(resources(lines)).config
    assert config.default_variables() == ({} if value is None else {"SRUN_CPUS_PER_TASK": value})
    given = parse_config(resources(lines) + "Environment: {Variables: {SRUN_CPUS_PER_TASK: 1}}").config
    assert given.default_variables() == {}
    assert given.environment.variables == {"SRUN_CPUS_PER_TASK": "1"}


def test_json_is_read_with_tabs_and_escapes() -> None:
    text = '{\n\t"Local":\t{},\n\t"Exclude": ["a\\/\\ud83d\\ude00"],\n"Environment": {"Variables": {"A": "\\ttab"}}}'
    config = parse_config(text).config
    assert config.exclude == ("a/\U0001f600",)
    assert config.environment.variables == {"A": "\ttab"}


def test_parsed_data_needs_the_published_spelling() -> None:
    config = parse_config_data({"Local": {}, "Environment": {"Variables": {"A": 1, "B": True, "C": 1.5}}}).config
    assert config.environment.variables == {"A": "1", "B": "true", "C": "1.5"}


@pytest.mark.parametrize("host", ["::1", "[::1]", "fe80::1%eth0", "login-1.example.org", "192.0.2.1"])
def test_hosts(host: str) -> None:
    config = parse_config_data({"SSH": {"Hostname": host}, "Resources": {"Queue": "a"}}).config
    assert config.ssh == SshSite(Hostname=host, Port=22)


def test_commands_end_their_lines_as_a_shell_wants_it() -> None:
    config = parse_config_data({"Local": {}, "Environment": {"PreRunCommandOnComputeNode": "ls\r\ndate"}}).config
    assert config.environment.pre_run_command_on_compute_node == ("ls\ndate",)


def test_a_config_does_not_change() -> None:
    config = parse_config(SMALL).config
    with pytest.raises(ValidationError, match="frozen"):
        config.site = "other"  # type: ignore[misc]


def test_the_model_itself_refuses_contradictions() -> None:
    with pytest.raises(ValidationError, match="names more than one site"):
        ComputeBackendConfig.model_validate({"Local": {}, "Site": "a", "Resources": {"Queue": "b"}})
