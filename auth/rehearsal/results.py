"""What came of a table of cases: which were as expected, and which statements none of them exercised."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from auth.policy.document import Policy, Source, Statement
from auth.policy.explain import Explanation
from auth.rehearsal.suite import ALLOW, Case


@dataclass(frozen=True, slots=True)
class Result:
    """`problem` says what was not as expected, and is empty where all was."""

    case: Case
    explanation: Explanation
    problem: str

    @property
    def passed(self) -> bool:
        return not self.problem


def judge(case: Case, explanation: Explanation) -> Result:
    """Compares what was expected with what would be decided."""
    verdict = explanation.verdict
    allowed = case.expect == ALLOW
    problem = ""
    if verdict.allowed is not allowed:
        problem = f"{_word(verdict.allowed)}, expected {_word(allowed)}"
    elif case.reason and not _says(explanation, case.reason):
        problem = f"{_word(allowed)} as expected, but not because of `{case.reason}`: {verdict.reason.value}"
    elif case.statements:
        missing = [one for one in case.statements if not any(_is(statement, one) for statement in verdict.statements)]
        if missing:
            deciding = ", ".join(map(name_of, verdict.statements)) or "no statement"
            problem = f"{_word(allowed)} as expected, but not by {', '.join(missing)}: {deciding}"
    return Result(case, explanation, problem)


def name_of(statement: Statement) -> str:
    """`push.json#Push`, or with its number where it has no Sid."""
    return f"{statement.policy}#{statement.sid or statement.number + 1}"


def _is(statement: Statement, written: str) -> bool:
    """By its Sid, or by its policy and Sid or number; of a file the end of its path is enough."""
    policy, mark, which = written.rpartition("#")
    if not mark:
        return written == statement.sid
    return which in {statement.sid, str(statement.number + 1)} and f"/{statement.policy}".endswith(f"/{policy}")


def _says(explanation: Explanation, reason: str) -> bool:
    said = f"{explanation.verdict.reason.value}\n{explanation.denial}\n{explanation.conclusion}"
    return reason.lower() in said.lower()


def _word(allowed: bool) -> str:
    return "allowed" if allowed else "denied"


@dataclass(slots=True)
class Covered:
    """One policy: its statements, and the numbers of those that applied in some case."""

    policy: Policy
    exercised: set[int] = field(default_factory=set)

    @property
    def statements(self) -> int:
        return len(self.policy.statements)

    @property
    def missed(self) -> list[Statement]:
        return [one for one in self.policy.statements if one.number not in self.exercised]

    @property
    def percent(self) -> float:
        return percent(len(self.exercised), self.statements)


class Coverage:
    """Statements that cases exercised. AWS's own policies do not count."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        """`policies` count even where no case has to do with them."""
        self._found: dict[tuple[str, ...], Covered] = {}
        for policy in policies:
            self._covered(policy)

    def add(self, explanation: Explanation) -> None:
        """What a case exercised."""
        for layer in explanation.layers:
            for examined in layer.policies:
                covered = self._covered(examined.policy)
                if covered is not None:
                    covered.exercised |= {one.statement.number for one in examined.findings if one.applies}

    @property
    def policies(self) -> list[Covered]:
        return list(self._found.values())

    @property
    def exercised(self) -> int:
        return sum(len(one.exercised) for one in self._found.values())

    @property
    def statements(self) -> int:
        return sum(one.statements for one in self._found.values())

    @property
    def percent(self) -> float:
        return percent(self.exercised, self.statements)

    def _covered(self, policy: Policy) -> Covered | None:
        if policy.source is Source.AWS_MANAGED or ":aws:policy/" in policy.arn or "::aws:" in policy.arn:
            return None
        key = (policy.kind.value, policy.arn or policy.name, policy.text)
        return self._found.setdefault(key, Covered(policy))


def percent(part: int, whole: int) -> float:
    """Of nothing everything is exercised."""
    return 100.0 * part / whole if whole else 100.0
