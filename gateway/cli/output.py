"""Results, on stdout: a table for people, JSON or YAML for programs."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli.table import table

if TYPE_CHECKING:
    from pydantic import BaseModel

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("table", "json", "yaml")


def output_option(function: F) -> F:
    """`-o table|json|yaml`, as `output`."""
    return click.option(
        "-o", "--output", type=click.Choice(FORMATS), default="table", show_default=True, help="Form of the result."
    )(function)


def show(value: "BaseModel | Sequence[BaseModel]", output: str, text: Callable[[], str]) -> None:
    """Print a result; `text` makes what a person reads."""
    if output == "table":
        say_result(text())
    else:
        say_data([jsonable(v) for v in value] if isinstance(value, Sequence) else jsonable(value), output)


def show_rows(
    values: "Sequence[BaseModel]",
    output: str,
    columns: Sequence[str],
    row: Callable[[Any], Sequence[object]],
    *,
    empty: str,
) -> None:
    """Print a listing; `empty` says on stderr how to get the first one."""
    if output == "table" and not values:
        click.echo(empty, err=True)
        return
    show(values, output, lambda: table(columns, [row(v) for v in values]))


def say_result(text: str) -> None:
    click.echo(text)


def say_data(data: object, output: str) -> None:
    """JSON or YAML."""
    click.echo(
        as_yaml(data) if output == "yaml" else json.dumps(data, indent=2, ensure_ascii=False), nl=output == "json"
    )


def jsonable(value: "BaseModel") -> Any:
    return value.model_dump(mode="json", by_alias=True)


def as_yaml(data: object) -> str:
    """With texts of several lines as blocks."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Ours, so that others keep theirs."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    dumped: str = yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return dumped
