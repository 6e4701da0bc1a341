"""Many decisions as few bytes, and back.

A segment holds decisions of one process in the order in which they were made. What decisions have in common is written
once: principals, sets of policies, verdicts and contexts are numbered as they come, and a *case* is one combination of
them. A decision is then its time, its request's id and the number of its case, about 25 bytes when compressed.

Both streams, `cases` and `records`, are lines of JSON under zlib. A line is what one round of folding brought, so a
segment that is still growing is written again without being encoded again:

    cases     {"known": [...], "principals": [...], "layouts": [...], "contexts": [...], "forces": [...],
               "verdicts": [...], "cases": [[principal, action, resource, context, force, verdict], ...]}
    records   [microseconds since the epoch, [microseconds since that, ...], [request id, ...], [case, ...]]
"""

import hashlib
import json
import math
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any

from auth.access import Principal, PrincipalKind, Session, SessionKind, Value
from auth.audit.record import Case, Deciding, PoliciesUsed, PolicyUsed, Record
from auth.authorize import KEYS, Judgement
from auth.policy.document import Kind, Policy, Source
from auth.policy.evaluate import InForce, PolicySet, Reason, Verdict

LONGEST_VALUE = 2048
"""Characters of a context value (of several, together) beyond which it is left out of the record."""

_LEVEL = 1
_FROM_TIME = frozenset({"aws:currenttime", "aws:epochtime"})
_TABLES = ("principals", "layouts", "contexts", "forces", "verdicts", "cases")
_FORCE = (
    "identity", "boundary", "session", "federated_without", "controls", "repository", "registry", "trust", "owner",
    "anonymous_resource",
)  # fmt: skip
_of_force: Callable[[InForce], tuple[Any, ...]] = attrgetter(*_FORCE)
_of_verdict: Callable[[Verdict], tuple[Any, ...]] = attrgetter("allowed", "reason", "kind", "statements", "missing")


class Digests:
    """SHA-256 of texts that come again and again."""

    def __init__(self, limit: int = 20_000) -> None:
        self._limit = limit
        self._known: dict[str, str] = {}

    def of(self, text: str) -> str:
        digest = self._known.get(text)
        if digest is None:
            digest = hashlib.sha256(text.encode()).hexdigest()
            if len(self._known) >= self._limit:
                self._known.clear()
            self._known[text] = digest
        return digest


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a segment has grown: decisions, the times of the first and the last, the lines of its two streams."""

    count: int = 0
    started_at: float = math.inf
    ended_at: float = -math.inf
    lines: tuple[int, int] = (0, 0)


class Segment:
    """One that grows. `add` and `end_round` belong to one thread, `encode` to whoever writes."""

    def __init__(self, digests: Digests) -> None:
        self.count = 0
        self.weight = 0
        """Characters of what is common, about."""
        self.extent = Extent()
        """As of the last round that ended."""
        self.documents: dict[str, str] = {}
        """Digest -> text of every policy that is named."""
        self._digests = digests
        self._numbers: dict[str, dict[str, int]] = {table: {} for table in _TABLES}
        self._principals: dict[int, tuple[Principal, int]] = {}
        self._layouts: dict[tuple[str, ...], tuple[int, Callable[[Any], tuple[Any, ...]]]] = {}
        self._forces: dict[Any, int] = {}
        self._verdicts: dict[Any, int] = {}
        self._cases: dict[Any, int] = {}
        self._fresh: dict[str, list[Any]] = {"known": sorted(KEYS)}
        self._times: list[int] = []
        self._ids: list[str] = []
        self._of_case: list[int] = []
        self._streams = (_Stream(), _Stream())

    @property
    def pending(self) -> int:
        """Decisions since the last round ended."""
        return len(self._times)

    def add(self, judgement: Judgement) -> bool:
        """Whether it is the first of its case."""
        request = judgement.request
        context = request.context
        names = tuple(context)
        layout = self._layouts.get(names)
        if layout is None:
            layout = self._add_layout(names)
        principal = request.principal
        same = self._principals.get(id(principal))
        number = self._number_principal(principal) if same is None else same[1]
        key = (
            number,
            request.action,
            request.resource,
            layout[0],
            layout[1](context),
            _of_force(judgement.force),
            _of_verdict(judgement.verdict),
        )
        case = self._cases.get(key)
        fresh = case is None
        if case is None:
            case = self._add_case(key, judgement)
        self._times.append(int(judgement.at * 1_000_000))
        self._ids.append(judgement.circumstances.request_id)
        self._of_case.append(case)
        self.count += 1
        return fresh

    def end_round(self) -> None:
        """What was added since the last one takes its final form."""
        times = self._times
        if not times:
            return
        least, most = min(times), max(times)
        cases, records = self._streams
        if self._fresh:
            cases.append(self._fresh)
            self._fresh = {}
        records.append([least, [at - least for at in times], self._ids, self._of_case])
        self._times, self._ids, self._of_case = [], [], []
        self.extent = Extent(
            self.count,
            min(self.extent.started_at, least / 1_000_000),
            max(self.extent.ended_at, most / 1_000_000),
            (len(cases), len(records)),
        )

    def close(self) -> None:
        """No more will be added: let go of what only adding needs."""
        self.end_round()
        for table in (self._numbers, self._principals, self._layouts, self._forces, self._verdicts, self._cases):
            table.clear()

    def encode(self, extent: Extent) -> tuple[bytes, bytes]:
        """The two streams as far as `extent` goes, which never shrinks. May run on a thread while another adds."""
        cases, records = self._streams
        return cases.compress(extent.lines[0]), records.compress(extent.lines[1])

    def _add_layout(self, names: tuple[str, ...]) -> tuple[int, Callable[[Any], tuple[Any, ...]]]:
        kept = [name for name in names if name not in _FROM_TIME]
        number = self._number("layouts", kept)
        made = self._layouts[names] = (number, itemgetter(*kept) if len(kept) > 1 else _Few(kept))
        return made

    def _number_principal(self, principal: Principal) -> int:
        number = self._number("principals", _write_principal(principal))
        self._principals[id(principal)] = (principal, number)  # it stays, and so does its id
        return number

    def _add_case(self, key: tuple[Any, ...], judgement: Judgement) -> int:
        principal, action, resource, layout, values, force, verdict = key
        if force not in self._forces:
            self._forces[force] = self._number("forces", self._write_force(judgement.force))
        if verdict not in self._verdicts:
            self._verdicts[verdict] = self._number("verdicts", _write_verdict(judgement.verdict))
        context = self._number("contexts", [layout, *map(_kept, values)])
        number = self._cases[key] = self._number(
            "cases", [principal, action, resource, context, self._forces[force], self._verdicts[verdict]]
        )
        return number

    def _number(self, table: str, value: Any) -> int:
        """The place of what is written in its table; the same is written once."""
        numbers = self._numbers[table]
        written = json.dumps(value)
        number = numbers.get(written)
        if number is None:
            number = numbers[written] = len(numbers)
            self._fresh.setdefault(table, []).append(value)
            self.weight += len(written)
        return number

    def _write_force(self, force: InForce) -> dict[str, Any]:
        written: dict[str, Any] = {}
        for name in _FORCE:
            value = getattr(force, name)
            if isinstance(value, PolicySet):
                value = self._write_set(value)
            elif name == "controls":
                value = [self._write_set(level) for level in value]
            if value or isinstance(value, list):
                written[name] = value
        return written

    def _write_set(self, policies: PolicySet) -> list[list[str]]:
        return [
            [policy.name, policy.arn, policy.source.value, self._write_policy(policy)] for policy in policies.policies
        ]

    def _write_policy(self, policy: Policy) -> str:
        digest = self._digests.of(policy.text)
        self.documents[digest] = policy.text
        return digest


class _Few:
    """An itemgetter that makes a tuple of one or none, too."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def __call__(self, context: Mapping[str, Value]) -> tuple[Value, ...]:
        return tuple(context[name] for name in self._names)


class _Stream:
    """Lines of JSON that become one piece of zlib. Appended to by one thread, compressed by another."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._done: list[bytes] = []
        self._compressor = zlib.compressobj(_LEVEL)
        self._compressed = 0

    def __len__(self) -> int:
        return len(self._pending)

    def append(self, line: Any) -> None:
        self._pending.append(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def compress(self, lines: int) -> bytes:
        """The first so many lines, whole."""
        for number in range(self._compressed, lines):
            self._done.append(self._compressor.compress(self._pending[number]))
            self._pending[number] = b""
        self._compressed = lines
        self._done = [b"".join(self._done)]
        return self._done[0] + self._compressor.copy().flush()


def _kept(value: Value) -> Value | None:
    length = len(value) if isinstance(value, str) else sum(map(len, value))
    return value if length <= LONGEST_VALUE else None


_PRINCIPAL = ("account", "arn", "unique_id", "identity_arn", "identity_id", "name", "key_id")
_SESSION = ("name", "issued_at", "expires_at", "key_id", "source_identity", "provider", "chained")


def _write_principal(principal: Principal) -> dict[str, Any]:
    written: dict[str, Any] = {"kind": principal.kind.value, **_write(principal, _PRINCIPAL)}
    session = principal.session
    if session is not None:  # its tags, claims and policies are in the context and among the policies in force
        written["session"] = {"kind": session.kind.value, **_write(session, _SESSION)}
    return written


def _write(thing: object, names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(thing, name))}


def _write_verdict(verdict: Verdict) -> list[Any]:
    return [
        int(verdict.allowed),
        verdict.reason.value,
        verdict.kind.value if verdict.kind is not None else None,
        [[one.policy, one.kind.value, one.source.value, one.sid, one.number] for one in verdict.statements],
        list(verdict.missing),
    ]


# -- and back


class Cases:
    """The cases of a segment as it was written."""

    def __init__(self, stream: bytes) -> None:
        known: frozenset[str] = frozenset()
        principals: list[Principal] = []
        layouts: list[list[str]] = []
        contexts: list[tuple[dict[str, Value], tuple[str, ...]]] = []
        forces: list[PoliciesUsed] = []
        verdicts: list[dict[str, Any]] = []
        self.cases: list[Case] = []
        for line in _lines(stream):
            known = frozenset(line.get("known", known))
            principals += map(_read_principal, line.get("principals", ()))
            layouts += line.get("layouts", ())
            contexts += (_read_context(layouts[number], values) for number, *values in line.get("contexts", ()))
            forces += map(_read_force, line.get("forces", ()))
            verdicts += map(_read_verdict, line.get("verdicts", ()))
            for principal, action, resource, context, force, verdict in line.get("cases", ()):
                values, omitted = contexts[context]
                self.cases.append(
                    Case(
                        principals[principal],
                        action,
                        resource,
                        values,
                        forces[force],
                        omitted=omitted,
                        known=known,
                        **verdicts[verdict],
                    )
                )


def read_records(
    stream: bytes, cases: Sequence[Case], wanted: Container[int], *, request_id: str = ""
) -> Iterator[Record]:
    """Those whose case is wanted, in the order in which they were decided. With `request_id`, what cannot be of that
    request may be left out."""
    for least, times, ids, of_case in _lines(stream, json.dumps(request_id).strip('"').encode()):
        for since, identifier, number in zip(times, ids, of_case, strict=True):
            if number in wanted:
                yield Record((least + since) / 1_000_000, identifier, cases[number])


def _lines(stream: bytes, holding: bytes = b"") -> Iterator[Any]:
    return (json.loads(line) for line in zlib.decompress(stream).splitlines() if holding in line)


def _read_principal(written: dict[str, Any]) -> Principal:
    fields = dict.fromkeys(_PRINCIPAL, "") | written
    found = fields.pop("session", None)
    session = None
    if found is not None:
        session = Session(
            **{"name": "", "issued_at": 0.0, "expires_at": 0.0, **found, "kind": SessionKind(found["kind"])}
        )
    return Principal(**{**fields, "kind": PrincipalKind(fields["kind"]), "session": session})


def _read_context(names: list[str], values: list[Any]) -> tuple[dict[str, Value], tuple[str, ...]]:
    """The context, and the keys that were left out of it."""
    found: dict[str, Value] = {}
    omitted = []
    for name, value in zip(names, values, strict=True):
        if value is None:
            omitted.append(name)
        else:
            found[name] = tuple(value) if isinstance(value, list) else value
    return found, tuple(omitted)


def _read_force(written: dict[str, Any]) -> PoliciesUsed:
    fields: dict[str, Any] = {}
    digests: set[str] = set()

    def read_set(policies: list[list[str]]) -> tuple[PolicyUsed, ...]:
        digests.update(digest for *_, digest in policies)
        return tuple(PolicyUsed(name, arn, Source(source), digest) for name, arn, source, digest in policies)

    for name, value in written.items():
        if name == "controls":
            fields[name] = tuple(map(read_set, value))
        else:
            fields[name] = read_set(value) if isinstance(value, list) else value
    return PoliciesUsed(**fields, digests=frozenset(digests))


def _read_verdict(written: list[Any]) -> dict[str, Any]:
    allowed, reason, kind, statements, missing = written
    return {
        "allowed": bool(allowed),
        "reason": Reason(reason),
        "kind": Kind(kind) if kind is not None else None,
        "statements": tuple(
            Deciding(policy, Kind(of_kind), Source(source), sid, number)
            for policy, of_kind, source, sid, number in statements
        ),
        "missing": tuple(missing),
    }
