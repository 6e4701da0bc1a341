"""How long a decision takes, how that grows with the statements, and what it leaves of the registry's rates."""

import asyncio
import base64
import gc
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from auth.access import Access, Circumstances, Principal, PrincipalKind
from auth.authorize import Gate
from auth.policy.document import Kind, parse_policy
from auth.policy.evaluate import InForce, PolicySet, Request, evaluate
from auth.rows.attachments import insert_attachment
from auth.rows.policies import StoredManagedPolicy, StoredVersion, insert_policy, insert_version
from auth.rows.users import User, insert_user
from bench.contenders import REPOSITORY, Running, log_in
from bench.figures import rotate
from bench.ground import Ground, Section, say
from bench.machine import CannotMeasure
from bench.scenarios import AUTHORIZED, MEDIAN_MICROSECONDS, P99_MICROSECONDS, SCENARIOS
from bench.tables import Table, show_number, show_reached
from store.database import Unit
from tests.live import LiveServer
from tests.rooms import House, open_house

POLICIES = 10
STATEMENTS = 10
"""Of each policy."""
NUMBERS = (10, 100, 1000, 10_000)
"""Statements of which the growth is measured."""
DECISIONS = 20_000
"""In a round."""
USERS = 200
"""Of whom the gate is asked in turn."""
REPOSITORIES = 2000
"""About which it is asked: what it has read of them it remembers."""
PLAYED = ("image-pull", "manifest-get")
ACCOUNT = "123456789012"
READING = [
    "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "ecr:DescribeImages", "ecr:ListImages",
]  # fmt: skip
PUSHING = ["ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"]


def statement(number: int, *, everywhere: bool) -> dict[str, Any]:
    """One of many: of a team's repositories, or of all. Every second has a condition, every tenth denies."""
    made: dict[str, Any] = {
        "Effect": "Deny" if number % 10 == 9 else "Allow",
        "Action": READING if number % 3 else [*READING, *PUSHING],
        "Resource": "*" if everywhere else f"arn:aws:ecr:*:{ACCOUNT}:repository/team-{number}/*",
    }
    conditions: list[dict[str, Any]] = [
        {"IpAddress": {"aws:SourceIp": [f"10.{number % 256}.0.0/16", "192.168.0.0/16", "2001:db8::/32"]}},
        {"StringEquals": {"aws:ResourceTag/team": ["blue", "green"]}, "Bool": {"aws:SecureTransport": "true"}},
        {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/ci/*"}},
        {"DateLessThan": {"aws:CurrentTime": "2999-12-31T23:59:59Z"}},
        {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    ]
    if number % 2:
        made["Condition"] = conditions[number // 2 % len(conditions)]
    return made


def documents(number: int, *, everywhere: bool = False) -> list[str]:
    """Policies with so many statements in all."""
    each = max(1, number // POLICIES)
    return [
        json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [statement(one, everywhere=everywhere) for one in range(begin, begin + each)],
            }
        )
        for begin in range(0, number, each)
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question. No two have the same principal, resource and source address."""

    principal: Principal
    access: Access
    circumstances: Circumstances


def questions(count: int, teams: int, *, users: int, repositories: int) -> Iterator[Asked]:
    chance = random.Random(1)
    for number in range(count):
        yield Asked(
            principal(number % users),
            Access(
                chance.choice(READING + PUSHING),
                f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team-{chance.randrange(teams)}/app-{number % repositories}",
            ),
            Circumstances(
                source_ip=f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
                secure=True,
                user_agent="docker/28.0.1 go/go1.23.6 git-commit/bbd0a17 kernel/6.8.0 os/linux arch/amd64",
                region="us-east-1",
                request_id=str(number),
            ),
        )


def principal(number: int) -> Principal:
    arn = f"arn:aws:iam::{ACCOUNT}:user/ci/builder-{number}"
    identifier = f"AIDABENCH{number:012}"
    return Principal(
        PrincipalKind.USER, ACCOUNT, arn, identifier, identity_arn=arn, identity_id=identifier, name=f"builder-{number}"
    )


def request_of(asked: Asked) -> Request:
    """With the context that the gate would give it."""
    who, circumstances = asked.principal, asked.circumstances
    return Request(
        who,
        asked.access.action,
        asked.access.resource,
        {
            "aws:currenttime": "2026-01-01T00:00:00Z",
            "aws:epochtime": "1767225600",
            "aws:securetransport": "true",
            "aws:principaltype": "User",
            "aws:userid": who.unique_id,
            "aws:viaawsservice": "false",
            "aws:sourceip": circumstances.source_ip,
            "aws:useragent": circumstances.user_agent,
            "aws:requestedregion": circumstances.region,
            "aws:principalarn": who.arn,
            "aws:principalaccount": who.account,
            "aws:principalisawsservice": "false",
            "aws:username": who.name,
            "aws:resourceaccount": ACCOUNT,
        },
    )


@dataclass(frozen=True, slots=True)
class Times:
    """Of one round, in microseconds."""

    median: float
    p99: float

    @classmethod
    def of(cls, nanoseconds: list[int]) -> "Times":
        ordered = sorted(nanoseconds)
        return cls(ordered[len(ordered) // 2] / 1000, ordered[len(ordered) * 99 // 100] / 1000)


def measure_authorization(ground: Ground) -> Section:
    count = ground.generator.operations or DECISIONS
    cases: dict[str, Callable[[], Times]] = {}
    for number in NUMBERS:
        cases[f"the engine, {number:,} statements"] = _engine(number, count, everywhere=False)
    hundred = POLICIES * STATEMENTS
    cases[f"the engine, {hundred} statements that all apply to the resource"] = _engine(hundred, count, everywhere=True)
    with ground.directory() as place, asyncio.Runner() as loop:
        house = loop.run(open_house(place / "house", time.time))
        loop.run(_fill(house))
        cases[f"the gate, {hundred} statements"] = _gate(loop, house, count)
        times: dict[str, list[Times]] = {}
        for round_number in range(ground.rounds):
            for name, measure in cases.items():
                found = measure()
                times.setdefault(name, []).append(found)
                say(f"round {round_number + 1} of {ground.rounds}, {name}: {found.median:.1f} us, {found.p99:.1f} us")
        loop.run(house.close())
    rates = _measure_rates(ground)
    data = {
        "microseconds": {name: [(one.median, one.p99) for one in found] for name, found in times.items()},
        "rates": rates,
    }
    return Section((_times_table(times), _rates_table(rates)), data)


def _engine(number: int, count: int, *, everywhere: bool) -> Callable[[], Times]:
    identity = PolicySet(
        parse_policy(text, Kind.IDENTITY, name=str(place))
        for place, text in enumerate(documents(number, everywhere=everywhere))
    )
    force = InForce(identity=identity)
    asked = [request_of(one) for one in questions(count, number, users=count, repositories=count)]

    def measure() -> Times:
        clock = time.perf_counter_ns
        taken = []
        gc.collect()
        for one in asked:
            begun = clock()
            evaluate(one, force)
            taken.append(clock() - begun)
        return Times.of(taken)

    for one in asked[:1000]:
        evaluate(one, force)
    return measure


def _gate(loop: asyncio.Runner, house: House, count: int) -> Callable[[], Times]:
    gate = Gate(house.directory, {"ecr": house.facts}, clock=time.time)
    asked = list(questions(count, 1, users=USERS, repositories=REPOSITORIES))

    async def ask() -> list[int]:
        clock = time.perf_counter_ns
        taken = []
        for one in asked:
            begun = clock()
            await gate.judge(one.principal, one.access, one.circumstances)
            taken.append(clock() - begun)
        return taken

    def measure() -> Times:
        gc.collect()
        return Times.of(loop.run(ask()))

    measure()
    return measure


async def _fill(house: House) -> None:
    """Users with ten managed policies each."""
    texts = documents(POLICIES * STATEMENTS)

    def write() -> Unit[None]:
        for number, text in enumerate(texts):
            arn = _policy_arn(number)
            yield from insert_policy(
                StoredManagedPolicy(arn, f"ANPABENCH{number:012}", ACCOUNT, f"bench-{number}", "/", "", 1, 1, 0.0, 0.0)
            )
            yield from insert_version(arn, StoredVersion(1, text, 0.0))
        for number in range(USERS):
            who = principal(number)
            yield from insert_user(User(who.identity_id, ACCOUNT, who.name, "/ci/", "", 0.0))
            for place in range(len(texts)):
                yield from insert_attachment(who.identity_id, _policy_arn(place), ACCOUNT, 0.0)

    await house.epoch.change(write)


def _policy_arn(number: int) -> str:
    return f"arn:aws:iam::{ACCOUNT}:policy/bench-{number}"


def _measure_rates(ground: Ground) -> dict[str, dict[str, list[float]]]:
    """Scenario -> who -> rates, in turn on one server."""
    rates: dict[str, dict[str, list[float]]] = {}
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in PLAYED]
    with ground.directory() as place, LiveServer(place, workers=ground.workers) as server:
        callers = {"root": log_in(server, REPOSITORY), "user": _user(server)}
        for who in callers.values():
            ground.generator.warm_up(who)
        for round_number in range(ground.rounds):
            for scenario in scenarios:
                for name in rotate(tuple(callers), round_number):
                    (result,) = ground.generator.play(callers[name], [scenario.name], operations=scenario.operations)
                    if result.errors:
                        raise CannotMeasure(f"{scenario.name} as {name}: {result.first_error}")
                    rates.setdefault(scenario.name, {}).setdefault(name, []).append(result.per_second)
                    say(
                        f"round {round_number + 1} of {ground.rounds}, {scenario.name} as {name}: "
                        f"{show_number(result.per_second)}/s"
                    )
    return rates


def _user(server: LiveServer) -> Running:
    """A user with as many statements, of which a few allow what the scenarios do."""
    iam = server.client("iam")
    iam.create_user(UserName="bench")
    texts = documents(POLICIES * STATEMENTS)
    allowed = {"Effect": "Allow", "Action": "ecr:*", "Resource": f"arn:aws:ecr:*:*:repository/{REPOSITORY}"}
    token = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}
    own = json.loads(texts[-1])
    own["Statement"][-2:] = [allowed, token]
    for number, text in enumerate([*texts[:-1], json.dumps(own)]):
        made = iam.create_policy(PolicyName=f"bench-{number}", PolicyDocument=text)
        iam.attach_user_policy(UserName="bench", PolicyArn=made["Policy"]["Arn"])
    key = iam.create_access_key(UserName="bench")["AccessKey"]
    ecr = server.client("ecr", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    answer = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(answer).decode().partition(":")
    assert server.process is not None
    return Running(server.url, server.process.pid, user, password)


def _times_table(times: dict[str, list[Times]]) -> Table:
    rows = []
    for name, found in times.items():
        median, p99 = statistics.median(one.median for one in found), statistics.median(one.p99 for one in found)
        wanted = f"{POLICIES * STATEMENTS} statements" in name
        reached = median <= MEDIAN_MICROSECONDS and p99 <= P99_MICROSECONDS
        rows.append(
            (
                name,
                f"{median:.1f}",
                f"{p99:.1f}",
                f"{min(one.median for one in found):.1f} to {max(one.median for one in found):.1f}",
                f"{MEDIAN_MICROSECONDS:g}, {P99_MICROSECONDS:g}" if wanted else "",
                show_reached(reached if wanted else None),
            )
        )
    return Table(
        "Microseconds for a decision",
        ("what decides", "median", "p99", "medians of the rounds", "target", "reached"),
        tuple(rows),
        (
            "No two questions have the same principal, resource and source address; half of the statements have conditions.",
            "The gate also finds the caller's policies and the resource's facts, which it remembers, and makes the context.",
        ),
    )


def _rates_table(rates: dict[str, dict[str, list[float]]]) -> Table:
    rows = []
    for scenario, found in rates.items():
        ratio = statistics.median(user / root for user, root in zip(found["user"], found["root"], strict=True))
        rows.append(
            (
                f"{scenario}, /s",
                show_number(statistics.median(found["root"])),
                show_number(statistics.median(found["user"])),
                f"{ratio:.2f}",
                f"{AUTHORIZED:g}",
                show_reached(ratio >= AUTHORIZED),
            )
        )
    return Table(
        f"Rates of an IAM user with {POLICIES * STATEMENTS} statements beside the root user's",
        ("scenario", "root", "user", "ratio", "target", "reached"),
        tuple(rows),
    )
