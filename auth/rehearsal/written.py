"""What people write into a table of cases: texts, lists and names, each with its place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeAlias


class Refused(ValueError):
    """A table cannot be read. `line` and `column` are from 1; the message says what was expected."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Member:
    """A value and where its name stands."""

    value: "Written"
    line: int
    column: int


Content: TypeAlias = "str | tuple[Written, ...] | Mapping[str, Member] | None"


@dataclass(frozen=True, slots=True)
class Written:
    """`content` is a text, as it is written: numbers, dates and booleans too; None for nothing. `what` names it in messages:
    `cases[3].action`."""

    content: Content
    line: int
    column: int
    what: str = ""

    def refuse(self, message: str) -> NoReturn:
        """Raises Refused."""
        raise Refused(f"{self.what}: {message}" if self.what else message, self.line, self.column)

    def members(self, *known: str) -> Mapping[str, "Written"]:
        """Of an object. If names are given it has no others."""
        if not isinstance(self.content, Mapping):
            self.refuse(f"names and their values are wanted, not {self._shown()}")
        for name, member in self.content.items():
            if known and name not in known:
                raise Refused(
                    f"{self._path(name)}: there is no such key; there are {', '.join(known)}",
                    member.line,
                    member.column,
                )
        return {
            name: Written(member.value.content, member.value.line, member.value.column, self._path(name))
            for name, member in self.content.items()
        }

    def items(self) -> Iterator["Written"]:
        """Of a list."""
        if not isinstance(self.content, tuple):
            self.refuse(f"a list is wanted, not {self._shown()}")
        for number, one in enumerate(self.content, 1):
            yield Written(one.content, one.line, one.column, f"{self.what}[{number}]")

    def several(self) -> list["Written"]:
        """Of a list, or of what stands for a list of one."""
        found = list(self.items()) if isinstance(self.content, tuple) else [self]
        if not found:
            self.refuse("at least one is wanted")
        return found

    def text(self) -> str:
        if not isinstance(self.content, str):
            self.refuse(f"a text is wanted, not {self._shown()}")
        return self.content

    def texts(self) -> list[str]:
        """Of one text, or a list of them."""
        return [one.text() for one in self.several()]

    def choice(self, *choices: str) -> str:
        text = self.text()
        if text not in choices:
            self.refuse(f"one of {', '.join(choices)} is wanted, not `{text}`")
        return text

    def _path(self, name: str) -> str:
        return f"{self.what}.{name}" if self.what else name

    def _shown(self) -> str:
        match self.content:
            case None:
                return "nothing"
            case str(text):
                return f"`{text}`"
            case tuple():
                return "a list"
            case _:
                return "an object"
