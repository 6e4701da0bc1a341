"""Policy variables (IAM User Guide, "IAM policy elements: Variables and tags").

`${key}` stands for a context key's value, `${key, 'text'}` for the text where the key is absent, and `${*}`, `${?}`,
`${$}` for these very characters. Only documents of version 2012-10-17 have them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from auth.access import Value

Context: TypeAlias = Mapping[str, Value]
"""Keys in lower case."""

# no part of it can run over the beginning of the next variable, so the search is linear in the text
_VARIABLE = re.compile(r"\$\{(?:([*?$])|([^{}$,']++)(?:,\s*+'([^']*+)'\s*+)?)\}")


@dataclass(frozen=True, slots=True)
class Variable:
    """`name` as it is written, `key` in lower case (empty: an escape, whose `default` is the character)."""

    name: str
    key: str
    default: str | None
    written: str

    def resolve(self, context: Context) -> str | None:
        """Its text, or None: the key is absent, or has several values, and there is no default."""
        value = context.get(self.key) if self.key else None
        return value if isinstance(value, str) else self.default


def split(text: str) -> tuple[str | Variable, ...]:
    """The text with its variables taken apart. What only looks like one stays text."""
    if "${" not in text:
        return (text,)
    parts: list[str | Variable] = []
    end = 0
    for found in _VARIABLE.finditer(text):
        parts.append(text[end : found.start()])
        escaped, name, default = found.groups()
        if escaped is not None:
            parts.append(Variable(escaped, "", escaped, found[0]))
        else:
            name = name.strip()
            parts.append(Variable(name, name.lower(), default, found[0]))
        end = found.end()
    parts.append(text[end:])
    return tuple(part for part in parts if part != "")
