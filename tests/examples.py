"""The examples of a document: files and what is typed, with what that prints.

A block whose info string names a file (```json ci.json) is that file from there on; with a `+` after the name its end. A block
of `console` holds lines that are typed ($ ..) and what they print. `...` there stands for anything in a line, and alone in a
line for lines.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<content>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class File:
    name: str
    content: str
    appended: bool

    def write(self, directory: Path) -> None:
        path = directory / self.name
        path.write_text((path.read_text() if self.appended else "") + self.content)


@dataclass(frozen=True)
class Typed:
    """One line. `live`: it needs a server."""

    line: str
    prints: str
    live: bool

    def is_printed(self, text: str) -> bool:
        pattern = "".join(
            r"(?:.*\n)*" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n"
            for line in self.prints.splitlines()
        )
        return re.fullmatch(pattern, text) is not None


def examples(document: Path) -> Iterator[File | Typed]:
    """In their order."""
    for block in _BLOCK.finditer(document.read_text()):
        kind, *words = block["info"].split()
        if kind == "console":
            yield from _typed(block["content"], live="live" in words)
        elif words:
            yield File(words[0], block["content"], appended="+" in words)


def _typed(content: str, *, live: bool) -> Iterator[Typed]:
    line, prints = "", ""
    for one in content.splitlines():
        if one.startswith("$ "):
            if line:
                yield Typed(line, prints, live)
            line, prints = one.removeprefix("$ "), ""
        else:
            prints += f"{one}\n"
    yield Typed(line, prints, live)
