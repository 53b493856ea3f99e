"""Project folders: read every file, fill in the environment and defaults, report all mistakes at once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import yaml
from pydantic import TypeAdapter
from yaml.constructor import SafeConstructor

from statsig_staging import config
from statsig_staging.collecting import seldom_collected
from statsig_staging.config import KINDS, Location, Problem
from statsig_staging.errors import ConfigError
from statsig_staging.expressions import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from statsig_staging.config import Project

MAIN_FILE: Final = "staging.yml"
"""The file that holds the connection and the defaults."""

_MAIN_KEYS = ("connection", "defaults", *KINDS)
_VARIABLE = re.compile(r"\$\$\{|\$\{([^{}]*)\}?")
_SHORT_VALUE = 4
_LONGEST_LINE = 1_000


@seldom_collected
def load_project(path: str | os.PathLike[str]) -> Project:
    """Return the project that lies in the folder ``path``.

    ``${VAR}`` in a value is read from the environment; ``$${`` stands for ``${``.

    Raises:
        ConfigError: With every problem of every file, one line each.
    """
    root = _folder(path)
    reading = _Reading()
    for file in _files(root):
        reading.add_file(file)
    reading.apply_defaults()
    try:
        return config.parse_project(
            reading.data,
            root=root,
            origins=reading.origins,
            found=reading.problems,
            complete=reading.complete,
        )
    except ConfigError as error:
        lines = dict.fromkeys(
            _shortened(reading.environment.redact(line)) for line in error.problems
        )
        raise ConfigError(*lines) from None


def _shortened(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a project file: connection, defaults and the four lists."""
    schema = TypeAdapter(config.Project).json_schema()
    properties = schema["properties"]
    del properties["root"]
    properties["defaults"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {kind: _defaults_schema(schema, kind) for kind in KINDS},
    }
    schema["title"] = "statsig_staging project file"
    schema["description"] = "staging.yml holds the connection; every file may hold the four lists."
    schema.pop("required", None)
    return schema


def _defaults_schema(schema: Mapping[str, Any], kind: str) -> dict[str, Any]:
    items = schema["properties"][kind]["items"]
    names = [choice["$ref"].split("/")[-1] for choice in items.get("oneOf", [items])]
    choices: dict[str, list[Any]] = {}
    for name in names:
        for key, value in schema["$defs"][name]["properties"].items():
            if key != _own_key(kind) and value not in choices.setdefault(key, []):
                choices[key].append(value)
    properties = {
        key: values[0] if len(values) == 1 else {"anyOf": values} for key, values in choices.items()
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _own_key(kind: str) -> str:
    return "id" if kind == "experiments" else "name"


def _folder(path: str | os.PathLike[str]) -> Path:
    root = Path(path)
    advice = f"type: statsig-staging init {root}"
    if not root.is_dir():
        raise ConfigError(f"{root}: there is no such folder; {advice}")
    if not (root / MAIN_FILE).is_file():
        raise ConfigError(f"{root}: there is no {MAIN_FILE} in this folder; {advice}")
    return root


def _files(root: Path) -> list[Path]:
    others = [
        file
        for file in sorted(root.iterdir())
        if file.suffix in {".yml", ".yaml"} and file.is_file() and not file.name.startswith(".")
        if file.name != MAIN_FILE
    ]
    return [root / MAIN_FILE, *others]


class _Environment:
    """The environment, and which of its values went into the project."""

    def __init__(self) -> None:
        self._used: dict[str, str] = {}

    def fill(self, text: str) -> str:
        """Return ``text`` with its variables filled in.

        Raises:
            ValueError: If a variable is not set, or not written ``${NAME}``.
        """
        return _VARIABLE.sub(self._value, text)

    def redact(self, line: str) -> str:
        """Return ``line`` with every value from the environment replaced by its variable."""
        for name, value in sorted(self._used.items(), key=lambda item: -len(item[1])):
            escaped = repr(value)[1:-1]
            for form in dict.fromkeys((value, escaped, escaped.replace("'", "\\'"))):
                shown = f"'{form}'" if len(form) < _SHORT_VALUE else form
                line = line.replace(shown, f"${{{name}}}")
        return line

    def _value(self, match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name = match[1]
        if not match[0].endswith("}") or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError("'${' starts no variable; write ${NAME}, or $${ for the text itself")
        if name not in os.environ:
            raise ValueError(f"environment variable {name} is not set")
        if os.environ[name]:
            self._used[name] = os.environ[name]
        return os.environ[name]


class _Reading:
    """What has been read so far: one set of data, where each part comes from, what is wrong."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {kind: [] for kind in KINDS}
        self.origins: dict[Location, str] = {}
        self.problems: list[Problem] = []
        self.complete = True
        self.environment = _Environment()
        self._defaults: dict[str, dict[str, Any]] = {}

    def add_file(self, file: Path) -> None:
        """Add what ``file`` holds."""
        content = self._content(file)
        if not isinstance(content, dict):
            if content is not None:
                self._unreadable(file.name, "should be a mapping of keys to values")
            content = {}
        main = file.name == MAIN_FILE
        if main:
            self.origins[("connection",)] = f"{file.name}: connection"
        try:
            for key, value in content.items():
                self._add(file.name, key, value, main=main)
        except RecursionError:
            self._unreadable(file.name, "is nested too deeply")

    def apply_defaults(self) -> None:
        """Give every entry the defaults that it lacks and that its type has."""
        for kind, defaults in self._defaults.items():
            for index, entry in enumerate(self.data[kind]):
                if isinstance(entry, dict):
                    self._complete(kind, index, entry, defaults)

    def _complete(
        self, kind: str, index: int, entry: dict[str, Any], defaults: Mapping[str, Any]
    ) -> None:
        fields = config.fields_of(kind, {"type": defaults.get("type"), **entry})
        for key, value in defaults.items():
            if key not in entry and key in fields:
                entry[key] = value
                self.origins[(kind, index, key)] = f"{MAIN_FILE}: defaults.{kind}.{key}"
                self.problems += [
                    problem._replace(location=(kind, index, *problem.location[2:]))
                    for problem in self.problems
                    if problem.location[:3] == ("defaults", kind, key)
                ]

    def _content(self, file: Path) -> object:
        try:
            content, duplicates = _parsed(file.read_text(encoding="utf-8-sig"))
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else None
            self._unreadable(file.name, _in_words(error), line)
        except yaml.YAMLError:
            self._unreadable(file.name, "holds characters that YAML does not allow")
        except UnicodeDecodeError:
            self._unreadable(file.name, "is not UTF-8 text")
        except RecursionError:
            self._unreadable(file.name, "is nested too deeply")
        except OSError as error:
            self._unreadable(file.name, f"cannot be read: {error.strerror}")
        else:
            for line, key in duplicates:
                self._wrong(f"{file.name}:{line}", f"duplicate key {config.quote(key)}")
            return content
        return None

    def _unreadable(self, name: str, message: str, line: int | None = None) -> None:
        self.complete = False
        self._wrong(f"{name}:{line}" if line else name, message)

    def _add(self, file: str, key: object, value: object, *, main: bool) -> None:
        if key in KINDS:
            self._add_entries(file, str(key), value)
        elif key not in _MAIN_KEYS:
            message = config.unknown_key(key, _MAIN_KEYS, config.LATER_KINDS)
            self._wrong(f"{file}: {key}", message)
        elif not main:
            self._wrong(f"{file}: {key}", f"belongs in {MAIN_FILE}")
        elif key == "connection":
            self.data["connection"] = self._filled(value, ("connection",))
        else:
            self._add_defaults(file, value)

    def _add_entries(self, file: str, kind: str, value: object) -> None:
        if not isinstance(value, list):
            if value is not None:
                self._wrong(f"{file}: {kind}", "should be a list")
            return
        for position, entry in enumerate(value):
            location: Location = (kind, len(self.data[kind]))
            self.origins[location] = f"{file}: {kind}[{position}]"
            self.data[kind].append(self._filled(entry, location))

    def _add_defaults(self, file: str, value: object) -> None:
        self.origins[("defaults",)] = f"{file}: defaults"
        if not isinstance(value, dict):
            if value is not None:
                self._wrong(f"{file}: defaults", "should be a mapping of lists' names to values")
            return
        for kind, defaults in value.items():
            self._add_defaults_of(str(kind), defaults)

    def _add_defaults_of(self, kind: str, defaults: object) -> None:
        if kind not in KINDS:
            self.problems.append(
                Problem(("defaults", kind), f"unknown key{suggestion(kind, KINDS)}")
            )
            return
        if not isinstance(defaults, dict):
            self.problems.append(
                Problem(("defaults", kind), "should be a mapping of keys to values")
            )
            return
        known = config.fields_of(kind, {}) - {_own_key(kind)}
        self._defaults[kind] = {}
        for key, value in defaults.items():
            place: Location = ("defaults", kind, str(key))
            if key in known:
                self._defaults[kind][key] = self._filled(value, place)
            else:
                self.problems.append(Problem(place, config.unknown_key(key, known)))

    def _wrong(self, place: str, message: str) -> None:
        self.origins[(place,)] = place
        self.problems.append(Problem((place,), message))

    def _filled(self, value: object, location: Location) -> Any:
        """Return ``value`` with the environment filled into every text inside it."""
        if isinstance(value, dict):
            return {
                str(key): self._filled(inner, (*location, str(key))) for key, inner in value.items()
            }
        if isinstance(value, list):
            return [self._filled(inner, (*location, at)) for at, inner in enumerate(value)]
        if not isinstance(value, str):
            return value
        try:
            return self.environment.fill(value)
        except ValueError as error:
            self.problems.append(Problem(location, str(error)))
            return value


_NULL = ("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"))
_MERGE = ("tag:yaml.org,2002:merge", re.compile(r"^<<$"))


class _Plain(SafeConstructor):
    """YAML whose plain values are text, so that 0123, 1.10 and on stay what was written.

    Only null is told apart; the models give every value its type.
    """

    # YAML 1.1 reads 0123 as 83, 1_0 as 10, 12:30 as 750 and on as true. https://yaml.org/type/
    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {
        **{key: [_NULL] for key in ("~", "n", "N", "")},
        "<": [_MERGE],
    }
    duplicates: list[tuple[int, object]]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping of ``node``, and remember the keys that it has twice."""
        seen: set[object] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != _MERGE[0]:
                if key_node.value in seen:
                    self.duplicates.append((key_node.start_mark.line + 1, key_node.value))
                seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


class _Fast(_Plain, yaml.CSafeLoader):
    """With the parser of libyaml, which takes a fifth of the time."""

    def __init__(self, text: str) -> None:
        yaml.CSafeLoader.__init__(self, text)
        self.duplicates = []


class _Exact(_Plain, yaml.SafeLoader):
    """With the parser in Python, whose errors say best where they are."""

    def __init__(self, text: str) -> None:
        yaml.SafeLoader.__init__(self, text)
        self.duplicates = []


def _parsed(text: str) -> tuple[object, list[tuple[int, object]]]:
    """Return what a document holds, and (line, key) of keys that one mapping has twice."""
    try:
        loader: _Fast | _Exact = _Fast(text)
        content = loader.get_single_data()
    except yaml.YAMLError:
        loader = _Exact(text)
        content = loader.get_single_data()
    return content, loader.duplicates


def _in_words(error: yaml.MarkedYAMLError) -> str:
    parts: Iterator[str] = (part for part in (error.context, error.problem) if part)
    return f"is not YAML: {', '.join(' '.join(part.split()) for part in parts)}"
