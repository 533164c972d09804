import pytest

from compute_backend_configs import InvalidConfig, parse_config, parse_config_data
from compute_backend_configs.node import MAX_CHARACTERS, MAX_NODES
from compute_backend_configs.text import MAX_SIZE
from tests.compute_backend_configs.texts import SMALL, errors

NO_TAG = "is not allowed; write plain values"
NO_ANCHOR = "a value that starts with * repeats an earlier `&` value, and there is none of that name; text needs quotes"


def doubled() -> object:
    """Small in memory, a million values when walked."""
    data: object = "a"
    for _ in range(20):
        data = [data, data]
    return data


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
        ("Local: &a [*a]", f"mantik.yaml:1: {NO_ANCHOR}"),
        ("Local: {}\nExclude:\n- *.sif", "mantik.yaml:3: a value that starts with one of * & % @ ` needs quotes"),
        ("Local: {}\nExclude: [@a]", "mantik.yaml:2: a value that starts with one of * & % @ ` needs quotes"),
        ("Local: *b", f"mantik.yaml:1: {NO_ANCHOR}"),
        ("!!python/object:os.system x", f"mantik.yaml:1: the tag `!!python/object:os.system` {NO_TAG}"),
        ("Local: !!python/dict {}", f"mantik.yaml:1: the tag `!!python/dict` {NO_TAG}"),
        ("Local: {}\nExclude: !!set [a]", f"mantik.yaml:2: the tag `!!set` {NO_TAG}"),
        ("Local: !local {}", "mantik.yaml:1: a value that starts with ! needs quotes"),
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


@pytest.mark.parametrize("value", ["*hunter2", "!hunter2 x", "!hunter2"])
def test_a_password_without_quotes_is_not_shown(value: str) -> None:
    (message,) = errors(SMALL + f"Environment:\n  Variables:\n    PASSWORD: {value}\n")
    assert message.startswith("mantik.yaml:5: a value that starts with ")
    assert "hunter2" not in message


@pytest.mark.parametrize("value", ["", "~", "null", "Null", "NULL"])
def test_nothing_in_every_spelling(value: str) -> None:
    (message,) = errors(SMALL + f"Environment:\n  Variables:\n    A: {value}\n")
    assert message == 'mantik.yaml:5: Environment.Variables.A: has no value; write "" for an empty one'
    assert parse_config(SMALL + "Environment: {Modules: ['" + value + "x']}").config.environment.modules == (
        f"{value}x",
    )


def test_explicit_text_is_text() -> None:
    assert parse_config("Local: {}\nEnvironment: {Modules: [!!str true]}").config.environment.modules == ("true",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"Local": {}, "Exclude": [object]}, "x: Exclude[0] holds a Python type, not JSON data"),
        ({"Local": {}, "Resources": {"Nodes": 10**5000}}, "x: Resources.Nodes holds a number that is too large"),
        ({"Site": "\ud800"}, "x: holds half of a surrogate pair, which is no character"),
        ([1], "x: must be a mapping of keys to values, not a list"),
        ({"Local": {}, "Exclude": ["a"] * MAX_NODES}, f"x: too large; at most {MAX_NODES} values are read"),
        ({"Local": {}, "Exclude": ["a" * 10**6] * 5}, f"x: too large; at most {MAX_CHARACTERS} characters are read"),
        ({"Local": {}, "Exclude": doubled()}, f"x: too large; at most {MAX_NODES} values are read"),
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
