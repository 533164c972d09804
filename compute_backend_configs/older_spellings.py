"""Spellings of older config files, moved to where the present ones stand, each with a warning that names the new."""

from difflib import get_close_matches

from compute_backend_configs.environment import IDENTIFIER, Environment
from compute_backend_configs.node import Node, Scalar
from compute_backend_configs.problems import ConfigProblem

IMAGES = ("SingularityImage", "Singularity")
LOGIN, COMPUTE = "PreRunCommandOnLoginNode", "PreRunCommandOnComputeNode"
ENVIRONMENT_KEYS = [*(field.alias or "" for field in Environment.model_fields.values()), *IMAGES, "PreRunCommand"]
TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}

Entries = dict[str, Node]


def modernize(root: Node) -> tuple[list[ConfigProblem], list[ConfigProblem]]:
    """Rewrites the tree in place; returns warnings and errors. Moved nodes keep the path they were written at."""
    move = _Moves()
    if isinstance(root.value, dict):
        move.image_at_top(root.value)
        environment = root.value.get("Environment")
        if environment and isinstance(environment.value, dict):
            environment.value = move.plain_variables(environment, environment.value)
            for key in IMAGES:
                move.image(environment.value, environment.value, key)
            move.command(environment.value)
    return move.warnings, move.errors


class _Moves:
    def __init__(self) -> None:
        self.warnings: list[ConfigProblem] = []
        self.errors: list[ConfigProblem] = []

    def image_at_top(self, top: Entries) -> None:
        if "SingularityImage" not in top:
            return
        old = top["SingularityImage"]
        environment = top.setdefault("Environment", Node(None, ("Environment",), old.mark, old.key))
        if environment.value is None:
            environment.value = {}
        if isinstance(environment.value, dict):
            environment.value = self.plain_variables(environment, environment.value)
            self.image(top, environment.value, "SingularityImage")

    def image(self, source: Entries, target: Entries, key: str) -> None:
        if key not in source:
            return
        node = source.pop(key)
        if isinstance(node.value, str):
            node.value = {"Path": Node(node.value, node.path, node.mark, node.key)}
        self._put(target, "Apptainer", node, node)

    def command(self, entries: Entries) -> None:
        if "PreRunCommand" not in entries:
            return
        node = entries.pop("PreRunCommand")
        parts = node.value if isinstance(node.value, dict) else {}
        where = _truth(parts["ExecuteOnLoginNode"].value) if "ExecuteOnLoginNode" in parts else None
        odd = sorted(set(parts) - {"Command", "ExecuteOnLoginNode"})
        if "Command" not in parts or where is None or odd:
            message = f"is an older spelling and cannot be read; write {LOGIN} or {COMPUTE}"
            detail = (
                f" (unknown key `{odd[0]}`)" if odd else " (it needs Command and ExecuteOnLoginNode: true or false)"
            )
            self.errors.append(node.problem(message + detail, allowed=f"{LOGIN}, {COMPUTE}"))
            return
        moved = parts["Command"]
        moved.key = moved.key or node.key
        key = LOGIN if where else COMPUTE
        self._put(entries, key, moved, node)

    def plain_variables(self, environment: Node, entries: Entries) -> Entries:
        """An Environment that is a map of variables; not when a key looks like a misspelt key of today."""
        if not entries or any(_is_like_a_key(key) or _is_section(node) for key, node in entries.items()):
            return entries
        self.warnings.append(
            environment.problem(
                "variables directly under Environment are an older spelling; write them under Environment.Variables",
                severity="warning",
            )
        )
        return {"Variables": Node(entries, environment.path, environment.mark, environment.key)}

    def _put(self, target: Entries, key: str, node: Node, old: Node) -> None:
        new = f"Environment.{key}"
        if key in target:
            message = f"is the older spelling of {new}, which is given too; keep {new}"
            self.errors.append(old.problem(message, allowed=new))
            return
        self.warnings.append(old.problem(f"is an older spelling; write {new}", allowed=new, severity="warning"))
        target[key] = node


def _is_like_a_key(key: str) -> bool:
    folded = [known.casefold() for known in ENVIRONMENT_KEYS]
    return not IDENTIFIER.fullmatch(key) or bool(get_close_matches(key.casefold()[:64], folded, n=1, cutoff=0.8))


def _is_section(node: Node) -> bool:
    return isinstance(node.value, dict | list)


def _truth(value: Scalar | list[Node] | dict[str, Node]) -> bool | None:
    return value if isinstance(value, bool) else TRUTH.get(value.casefold()) if isinstance(value, str) else None
