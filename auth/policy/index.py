"""Statements by resource, so that a decision looks at few of many."""

from collections.abc import Sequence

from auth.policy.document import Statement
from auth.policy.patterns import literal_tail


class Index:
    """Statements of which any may apply, as far as their actions go.

    Nearly all resources are ARNs of exactly six segments (those of ECR and IAM hold no further colons), and so are nearly
    all patterns; then each segment of a pattern meets its own, and the last one must begin as the pattern's last does, up
    to its first wildcard. By these beginnings statements are found: one look-up for each length that there is.
    """

    __slots__ = ("_any", "_anywhere", "_beginnings", "_exact", "_lengths", "_star", "_statements")

    def __init__(self, statements: Sequence[Statement]) -> None:
        self._statements = statements
        beginnings: dict[str, list[int]] = {}
        exact: dict[str, list[int]] = {}
        anywhere: list[int] = []
        for number, statement in enumerate(statements):
            tails = _tails(statement)
            if tails is None:
                anywhere.append(number)
                continue
            for tail, whole in tails:
                found = (exact if whole else beginnings).setdefault(tail, [])
                if not found or found[-1] != number:
                    found.append(number)
        self._any = tuple(anywhere)
        self._anywhere = [statements[number] for number in anywhere]
        self._exact = {tail: tuple(found) for tail, found in exact.items()}
        self._beginnings = {tail: tuple(found) for tail, found in beginnings.items()}
        self._lengths = tuple(sorted({len(tail) for tail in beginnings}))
        self._star: list[Statement] | None = None

    def near(self, resource: str, tail: str | None) -> Sequence[Statement]:
        """In order, all statements that are about the resource, and few others. `tail` is its sixth segment, None where it
        has not six."""
        if tail is None:
            return self._near_star() if resource == "*" else self._statements
        beginnings = self._beginnings
        found = self._any
        more = self._exact.get(tail)
        if more is not None:
            found += more
        for length in self._lengths:
            more = beginnings.get(tail[:length])
            if more is not None:
                found += more
        if found is self._any:
            return self._anywhere
        statements = self._statements
        if len(found) == 1:
            return [statements[found[0]]]
        return [statements[number] for number in sorted(set(found))]

    def _near_star(self) -> Sequence[Statement]:
        if self._star is None:
            self._star = [one for one in self._statements if _may_cover_star(one)]
        return self._star


def _may_cover_star(statement: Statement) -> bool:
    resources = statement.resources
    return statement.covers is None or bool(resources and resources.variables) or statement.covers("*", {})


def _tails(statement: Statement) -> list[tuple[str, bool]] | None:
    """None where it may be about anything."""
    resources = statement.resources
    if resources is None or resources.excluded:
        return None
    tails = [literal_tail(pattern) for pattern in resources.patterns]
    found = [tail for tail in tails if tail is not None]
    return found if len(found) == len(tails) else None
