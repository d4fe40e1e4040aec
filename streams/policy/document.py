"""YAML text → plain data, with the line of everything in it.

Rules of this module
1. What is written is what is read. Only `true`, `false`, `null`, `~` and whole numbers without leading zeros are
   anything but text, so `on`, `no` (Norway), `08:30`, `2026-12-24` and `2026.10` stay as they are.
2. A duplicate key is refused, because the parser would keep the last one although the reader sees the first one.
3. Tags and merge keys are refused. Anchors and aliases have a budget, so that a small file cannot become a large one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from streams.policy.findings import Finding, PolicyRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str | int, ...]
# Dicts, lists, strings, integers, booleans and None. Only the schema can say which shape they have.
Plain = Any

# A policy's text travels in one Kafka record (1 MiB at most by default), and 200 commented rules need a fifth of this.
TEXT_MAX_BYTES: Final = 256 * 1024
# Values in the file, those repeated by aliases included: 200 rules of 60 values, four times over.
VALUES_MAX: Final = 50_000
# The format nests five deep (rules, rule, hours, day, interval).
DEPTH_MAX: Final = 16

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_CONSTANTS: Final = {"true": True, "false": False, "null": None, "~": None, "": None}
_TEXT_TAG: Final = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file, and the line of everything in it."""

    data: Plain
    lines: dict[Path, int]
    findings: list[Finding]

    def line(self, path: Path) -> int:
        """Line of the key or list item at `path`, or of the nearest thing that contains it."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return self.lines.get((), 1)

    def rule_id(self, path: Path) -> str | None:
        """Id of the rule that `path` lies in, if it lies in one that has an id."""
        if len(path) < 2 or path[0] != "rules":
            return None
        rule = self.data["rules"][path[1]]
        name = rule.get("id") if isinstance(rule, dict) else None
        return name if isinstance(name, str) else None


def parse(text: str) -> Document:
    """Parse a policy's text.

    Raises `PolicyRefused` if the text is not YAML, too large, too deep, or empty. Lesser findings are in
    `Document.findings`.
    """
    if len(text.encode("utf-8", "surrogatepass")) > TEXT_MAX_BYTES:
        raise PolicyRefused([Finding(1, None, f"The file is larger than {TEXT_MAX_BYTES // 1024} KiB.", "Split it.")])
    builder = _Builder(text)
    try:
        return builder.document()
    except PolicyRefused:
        raise
    except (ValueError, OverflowError):  # of `chr` and `int`, which PyYAML lets through
        message = "This is not YAML, because an escape or a number is too large."
        raise PolicyRefused([Finding(builder.line(), None, message, "Write the character itself.")]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = f"This is not YAML: {error.problem or error.context or 'it cannot be read'}."
        where = f"Look at column {mark.column + 1} of the line, and at the line before it." if mark else ""
        raise PolicyRefused([Finding(mark.line + 1 if mark else 1, None, message, where)]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"The character U+{error.character:04X} is not allowed in YAML."
        raise PolicyRefused([Finding(line, None, message, "Remove it.")]) from None


@dataclass(slots=True)
class _Builder:
    """Builds values from the parser's events, so that the parser never constructs an object."""

    text: str
    lines: dict[Path, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    anchors: dict[str, tuple[Plain, int]] = field(default_factory=dict)
    count: int = 0
    loader: yaml.SafeLoader = field(init=False)
    events: Iterator[yaml.Event] = field(init=False)

    def line(self) -> int:
        """The line that is being read."""
        return int(self.loader.get_mark().line) + 1

    def document(self) -> Document:
        self.loader = yaml.SafeLoader(self.text)
        self.events = iter(self.loader.get_event, None)
        next(self.events)  # the stream's start
        first = next(self.events)
        if isinstance(first, yaml.StreamEndEvent):
            raise PolicyRefused([Finding(1, None, "The file is empty.", "Start with `mesura: 1`.")])
        data = self.value(next(self.events), ())
        next(self.events)  # the document's end
        second = next(self.events)
        if not isinstance(second, yaml.StreamEndEvent):
            self.report(
                second, "There is a second document in the file.", "Keep one, and remove the `---` between them."
            )
        return Document(data, self.lines, self.findings)

    def report(self, event: yaml.Event, message: str, fix: str) -> None:
        self.findings.append(Finding(_line(event), None, message, fix))

    def value(self, event: yaml.Event, path: Path) -> Plain:
        line = _line(event)
        self.lines.setdefault(path, line)
        if len(path) > DEPTH_MAX:
            raise PolicyRefused(
                [Finding(line, None, f"The file is nested more than {DEPTH_MAX} deep.", "No policy needs that.")]
            )
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        before = self.count
        self.spend(1, line)
        data: Plain
        if event.tag is not None and event.tag != _TEXT_TAG:
            self.report(event, f"The tag {event.tag} is not allowed.", "Write the plain value.")
        if isinstance(event, yaml.ScalarEvent):
            data = self.scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            data = []
            while not isinstance(entry := next(self.events), yaml.SequenceEndEvent):
                data.append(self.value(entry, (*path, len(data))))
        else:
            data = self.mapping(path)
        if event.anchor is not None:
            self.anchors[event.anchor] = data, self.count - before
        return data

    def mapping(self, path: Path) -> dict[str, Plain]:
        data: dict[str, Plain] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                self.report(event, "A key must be a plain word.", "Remove the brackets or the alias before the colon.")
                self.value(event, (*path, f"?{line}"))
                self.value(next(self.events), (*path, f"?{line}"))
                continue
            key = _text(event)
            here = (*path, key)
            if key in data:
                message = f"`{key}` is given twice; the first is on line {self.lines[here]}."
                self.report(event, message, "Keep one of the two.")
                self.value(next(self.events), (*path, f"?{line}"))
                continue
            if key == "<<" and event.style is None:
                self.report(event, "Merge keys (`<<`) are not supported.", "Write the fields out.")
            self.lines[here] = line
            data[key] = self.value(next(self.events), here)
        data.pop("<<", None)
        return data

    def alias(self, event: yaml.AliasEvent) -> Plain:
        if event.anchor not in self.anchors:
            message = f"No complete value named &{event.anchor} is defined above."
            self.report(event, message, "Define it first, or write it out.")
            return None
        data, size = self.anchors[event.anchor]
        self.spend(size, _line(event))
        return data

    def spend(self, values: int, line: int) -> None:
        self.count += values
        if self.count > VALUES_MAX:
            message = f"The file contains more than {VALUES_MAX} values, including those that aliases repeat."
            raise PolicyRefused([Finding(line, None, message, "Split it, or repeat less.")])

    @staticmethod
    def scalar(event: yaml.ScalarEvent) -> Plain:
        text = _text(event)
        if event.style is not None or event.tag is not None:
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        return int(text) if _INTEGER.fullmatch(text) else text


def _text(event: yaml.ScalarEvent) -> str:
    """What a scalar says. JSON may write one character as two escapes (😀 is "\\ud83d\\ude00"); here it is one again.

    Raises `PolicyRefused` if there is only half of one: no such text could be published, or shown.
    """
    text: str = event.value
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        message = "A text contains half of a character: one of \\ud800 to \\udfff by itself."
        raise PolicyRefused([Finding(_line(event), None, message, "Write the character itself.")]) from None


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
