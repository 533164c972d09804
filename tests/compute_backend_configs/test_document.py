import pytest

from compute_backend_configs import InvalidConfig, parse_config, parse_config_data
from compute_backend_configs.text import MAX_SIZE
from tests.compute_backend_configs.texts import SMALL, errors

NO_TAG = "is not allowed; write plain values"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "mantik.yaml: the config is empty"),
        ("# only a comment\n", "mantik.yaml: the config is empty"),
        ("---\n", "mantik.yaml:2: must be a mapping of keys to values, not nothing"),
        ("- a\n", "mantik.yaml:1: must be a mapping of keys to values, not a list"),
        ("just text", "mantik.yaml:1: must be a mapping of keys to values, not `just text`"),
        ("Local: {}\n\tExclude: []", "mantik.yaml:2: a tab is used for indentation; YAML allows only spaces there"),
        ("Local: {}\n---\nLocal: {}\n", "mantik.yaml:2: a second document starts here; a config is one document"),
        ("a\0b", "mantik.yaml:1: holds the character U+0000, which is not allowed"),
        ("Local: {}\nSite: \ud800", "mantik.yaml:2: holds the character U+D800, which is not allowed"),
        ('Site: "\\ud800"', "mantik.yaml:1: holds half of a surrogate pair, which is no character"),
        ('Site: "\\UFFFFFFFF"', "mantik.yaml: holds an escape or a directive outside of what YAML allows"),
        ("Local: &a [*a]", "mantik.yaml:1: `*a` refers to itself or to an anchor not defined before it"),
        ("Local: {}\nExclude:\n- *.sif", "mantik.yaml:3: a value that starts with one of * & % @ ` needs quotes"),
        ("Local: {}\nExclude: [@a]", "mantik.yaml:2: a value that starts with one of * & % @ ` needs quotes"),
        ("Local: *b", "mantik.yaml:1: `*b` refers to itself or to an anchor not defined before it"),
        ("!!python/object:os.system x", f"mantik.yaml:1: the tag `!!python/object:os.system` {NO_TAG}"),
        ("Local: !!python/dict {}", f"mantik.yaml:1: the tag `!!python/dict` {NO_TAG}"),
        ("Local: {}\nExclude: !!set [a]", f"mantik.yaml:2: the tag `!!set` {NO_TAG}"),
        ("!!binary a: b", f"mantik.yaml:1: the tag `!!binary` {NO_TAG}"),
        ("? [a]\n: b", "mantik.yaml:1: a key must be plain text, not a list, mapping or alias"),
        ("Local: {}\n<<: 3", "mantik.yaml:2: `<<` takes a mapping or a list of mappings"),
        ("[" * 100_000, "mantik.yaml:1: nested more than 32 levels deep"),
        ("- " * 100_000, "mantik.yaml:1: nested more than 32 levels deep"),
        ("#" * (MAX_SIZE + 1), "mantik.yaml: larger than 1 MiB, so it is not read"),
        ("Local: {}\nLocal: {}\n", "mantik.yaml:2: Local: the key `Local` stands twice, in lines 1 and 2"),
    ],
)
def test_texts_that_are_no_config(text: str, message: str) -> None:
    assert errors(text) == [message]


def test_a_syntax_error_names_its_line() -> None:
    (message,) = errors("Local: {}\nExclude: [a, b\n")
    assert message.startswith("mantik.yaml:3: not valid YAML or JSON: expected ',' or ']'")


def test_aliases_do_not_multiply_without_bound() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (message,) = errors("\n".join(lines))
    assert "too large with its aliases expanded" in message


def test_aliases_of_long_texts_do_not_multiply_without_bound() -> None:
    (message,) = errors(f"a: &a {'x' * 500_000}\nb: [{', '.join(['*a'] * 100)}]")
    assert "too large with its aliases expanded" in message


def test_anchors_and_merges_are_read() -> None:
    text = SMALL + "Environment:\n  Variables: &v {A: 1, B: 2}\n  Modules: &m [x]\nExclude: *m\n"
    assert parse_config(text).config.exclude == ("x",)
    merged = "Local: {}\nEnvironment: &e {Modules: [x]}\n"
    assert errors(merged + "<<: {Local: {}, Quue: 1}")[0].startswith("mantik.yaml:3: Quue: unknown key")
    text = "Local: {}\nEnvironment:\n  Variables:\n    A: own\n    <<: [{A: 1, B: 2}, {B: 3}]\n"
    assert parse_config(text).config.environment.variables == {"A": "own", "B": "2"}


@pytest.mark.parametrize("change", [lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n")])
def test_byte_order_mark_and_windows_lines_change_nothing(change: object) -> None:
    assert callable(change)
    assert parse_config(change(SMALL)).config == parse_config(SMALL).config


def test_lines_are_counted_in_windows_files() -> None:
    assert errors(SMALL.replace("\n", "\r\n") + "Quue: 1\r\n")[0].startswith("mantik.yaml:3: Quue: ")


def test_explicit_text_is_text() -> None:
    assert parse_config("Local: {}\nEnvironment: {Modules: [!!str true]}").config.environment.modules == ("true",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"Local": {}, "Exclude": [object]}, "x: Exclude[0] holds a Python type, not JSON data"),
        ({"Local": {}, "Resources": {"Nodes": 10**5000}}, "x: Resources.Nodes holds a number that is too large"),
        ({"Site": "\ud800"}, "x: holds half of a surrogate pair, which is no character"),
        ([1], "x: must be a mapping of keys to values, not a list"),
    ],
)
def test_data_that_is_no_config(data: object, message: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        parse_config_data(data, name="x")  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_data_that_holds_itself() -> None:
    data: dict[str, object] = {}
    data["Local"] = data
    with pytest.raises(InvalidConfig, match="nested more than 32 levels deep"):
        parse_config_data(data)
