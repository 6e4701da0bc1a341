"""The linter: every check, over one document."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from auth.lint import actions, conditions, document, pairs, principals, resources, variables
from auth.lint.ground import Ground
from auth.lint.reading import Document, read
from auth.lint.rules import Finding, Level
from auth.policy.catalogue import catalogue
from auth.policy.document import Kind


@dataclass(frozen=True, slots=True)
class Place:
    """Lines and columns, from 1; the end is behind the last character."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in a document, in the order in which it stands there."""

    document: Document
    findings: tuple[Finding, ...]

    def place(self, finding: Finding) -> Place:
        return Place(*self.document.place(finding.at.start), *self.document.place(finding.at.end))

    @property
    def worst(self) -> Level | None:
        return max((finding.rule.level for finding in self.findings), default=None)


_CHECKS = (
    actions.check,
    resources.check,
    conditions.check,
    variables.check,
    principals.check,
)
"""Of a statement."""
_OVERALL = (document.check, pairs.check)
"""Of all of them."""


def lint(text: str, kind: Kind, *, now: float, given: frozenset[str]) -> Report:
    """Pure. `now` is in seconds since the epoch; `given` are the condition keys that this server's requests may have
    (`auth.authorize.KEYS`)."""
    ground = Ground(read(text, kind), catalogue(), now, given)
    found = sorted(_findings(ground), key=lambda finding: (finding.at.start, -finding.rule.level, finding.rule.id))
    return Report(ground.document, tuple(dict.fromkeys(found)))


def without(report: Report, ignored: Sequence[str]) -> Report:
    """But for the findings of rules that are ignored: `RULE`, or `RULE@SID` in one statement."""
    kept = [one for one in report.findings if not {one.rule.id, f"{one.rule.id}@{one.sid}"} & set(ignored)]
    return Report(report.document, tuple(kept))


def _findings(ground: Ground) -> Iterator[Finding]:
    for check in _OVERALL:
        yield from check(ground)
    for part in ground.document.parts:
        for of_part in _CHECKS:
            yield from of_part(part, ground)
