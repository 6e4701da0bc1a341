"""One worker's objects, wired: settings in, a handler of requests out."""

import asyncio
import contextlib
import json
import math
import os
import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from auth.access import ANONYMOUS, Circumstances
from auth.audit.recorder import PERIOD, Recorder
from auth.audit.trail import Trail
from auth.authenticate import Authenticator, Caller
from auth.authorize import Gate, Judgement
from auth.credentials import Keyring
from auth.directory import Directory
from auth.epoch import Epoch
from auth.iam import operations as iam
from auth.iam.call import Iam
from auth.iam.managed import CATALOGUE
from auth.issuers import Issuers
from auth.keys import SigningKeys
from auth.organizations import operations as organizations
from auth.organizations.call import Organizations
from auth.organizations.guardrails import OrganizationGuardrails
from auth.organizations.resources import OrganizationResources
from auth.resources import IamResources
from auth.secrets import Vault
from auth.sessions import Sessions
from auth.signers import Signers
from auth.sts import operations as sts
from auth.sts.call import Sts
from auth.sts.messages import Messages
from auth.tokens import Tokens
from auth.usage import Usage
from base.ids import RandomIds, new_uuid
from base.loops import Supervisor
from base.web import Reply
from config.settings import Settings
from registry.ecr import operations as ecr
from registry.ecr.call import Call as EcrCall
from registry.ecr.call import Registry as EcrRegistry
from registry.errors import TABLE, RegistryError
from registry.facts import RegistryFacts
from registry.gc import Collected
from registry.images import Images
from registry.links import PREFIX as LINKS
from registry.links import Links
from registry.names import RegistryId
from registry.oci.boundary import OciBoundary, too_many
from registry.oci.call import Call, Registry
from registry.outages import outage
from registry.policies import Policies
from registry.pull import Pull
from registry.push import Push
from registry.repositories import Repositories
from registry.rounds import find_standing
from registry.rows.collections import Kind
from registry.uploads import Uploads
from server.accel import hand_over
from server.aws import AwsApi
from server.collection import make_rounds
from server.first import FirstThings
from server.hosts import Hosts, Networks, Origin
from server.http import Exchange
from server.limits import Limits, Refused
from server.logs import Log
from server.metrics import CONTENT_TYPE, DATABASE_CALLS, STORE_CALLS, Metrics
from server.probe import Probe
from server.process import build, usage
from server.readiness import Readiness
from server.stores import open_blobs, open_database
from server.telemetry import open_telemetry
from server.token import TokenService
from server.visit import Visit
from server.watched import WatchedBlobs, WatchedDatabase
from store.blobs.driver import StoreUnavailable
from store.database import Database, DatabaseFull, DatabaseUnavailable, Sealed
from store.leases import Lease
from store.seals import Heeding, Unwritable, Watch

Measure: TypeAlias = Callable[[], float]

_TEXT = ("Content-Type", "text/plain; charset=utf-8")
_LOOK = 1.0
"""Seconds between two looks at what is measured."""
_RETENTION = 15.0
"""Seconds between two rounds of forgetting decisions that are too old, by whichever process looks first."""
_LOOK = 3.0
READ_ONLY = "its settings say so (server.read_only)"
_NOBODY = Caller(ANONYMOUS)
_OPERATED = frozenset({"/healthz", "/readyz", "/metrics"})


class App:
    """Everything that one worker is made of. `start` before use, `stop` after."""

    def __init__(self, settings: Settings, first: FirstThings, log: Log, *, worker: int = 0) -> None:
        self._settings = settings
        self._log = log
        self._worker = worker
        self._new_request_id = ids = RandomIds()
        clock = time.time
        home = RegistryId(settings.account.id, settings.account.region)
        self.metrics = Metrics(settings.data / "run", worker)
        self._telemetry = open_telemetry(settings, metrics=self.metrics, log=log)
        tracer = None if self._telemetry is None else self._telemetry.tracer
        database = WatchedDatabase(open_database(settings), Probe("database", DATABASE_CALLS, self.metrics, tracer))
        never = READ_ONLY if settings.server.read_only else ""
        # what this process notes on its own account heeds no seal
        self._notes: Database = Unwritable(database, never) if never else database
        self.database = Heeding(self._notes)
        self.seals = Watch(self.database, time.monotonic, always=never)
        self.blobs = WatchedBlobs(
            open_blobs(settings, ids=ids, clock=clock),
            Probe("store", STORE_CALLS, self.metrics, tracer),
        )
        self._limits = Limits(settings.limits, count=self.metrics.add, observe=self.metrics.observe)
        self._is_limited = bool(self._limits)
        self.hosts = Hosts(home, settings.server.public_url, settings.server.trusted_proxies)
        self._vault = Vault(first.server_keys)
        self._root = first.root
        self.signing = SigningKeys(self.database, self._vault, clock)
        self.tokens = Tokens(self.signing, clock, ids)
        self.epoch = Epoch(self.database, time.monotonic)
        guardrails = OrganizationGuardrails(self.database)
        self.directory = Directory(self.database, self.epoch, managed=CATALOGUE, guardrails=guardrails)
        self.keyring = Keyring((first.root,), self.directory, self._vault, self.epoch)
        self.authenticator = Authenticator(self.keyring, self.tokens)
        self.usage = Usage(self._notes, clock)
        self.sessions = Sessions(self._vault, clock)
        facts = RegistryFacts(self.database, self.directory, self.epoch)
        self.recorder = Recorder(
            self._notes, clock=clock, ids=ids, count=self.metrics.add, keep=settings.audit.enabled and not never
        )
        self.gate = Gate(
            self.directory,
            {
                "ecr": facts,
                "iam": IamResources(self.database, self.directory),
                "organizations": OrganizationResources(self.database),
            },
            clock=clock,
            anonymous_pull=settings.auth.anonymous_pull,
            record=self._recording(),
        )
        apart = Networks(settings.storage.s3_redirect_except)
        pull = Pull(
            self.database,
            self.blobs,
            clock=clock,
            grace=settings.gc.grace,
            reaches_store=lambda client: not apart or not apart.has(client),
            notes=self._notes,
        )
        self.registry = Registry(
            database=self.database,
            repositories=Repositories(
                self.database, self.epoch, clock=clock, create_on_push=settings.registry.create_on_push, home=home
            ),
            policies=Policies(self.database, self.epoch, facts),
            uploads=Uploads(self.database, self.blobs, clock=clock, ids=ids, reserve=settings.storage.reserve),
            push=Push(self.database, clock=clock, allow_sparse=settings.registry.allow_sparse),
            pull=pull,
            gate=self.gate,
            clock=clock,
            delete_referenced=settings.registry.delete_referenced,
        )
        self._pull = pull
        self.links = Links(self.database, pull, self.tokens)
        self._aws = AwsApi(
            (
                ecr.make_service(self._ecr_registry()),
                iam.make_service(self._iam()),
                organizations.make_service(Organizations(self.database, self.epoch, clock)),
                sts.make_service(self._sts()),
            ),
            authenticate=Signers(self.keyring, self.sessions).find,
            gate=self.gate,
            clock=clock,
            region=home.region,
            translate=ecr.translate,
            report=self._report_operation,
            note=self.usage.note,
            count=partial(self.metrics.add, "aws_requests", 1.0),
            limits=self._limits,
        )
        self.rounds = make_rounds(
            settings, self.database, self.blobs, clock=clock, share=settings.gc.share, report=self._report_collection
        )
        self._oci = OciBoundary(
            self.registry,
            self.authenticator,
            challenge=self._challenge,
            plain_unauthorized=settings.auth.challenge == "basic",
            report=self._report,
            admit=self.seals.admit,
        )
        self._token = TokenService(
            self.authenticator, self.tokens, clock, anonymous=settings.auth.challenge == "bearer"
        )
        self._loops = Supervisor(lambda name, error: log.failure(f"the loop {name} failed", error))
        self._holder = f"{new_uuid()}"
        self._retention: Lease | None = None
        self._accel = settings.storage.accel_redirect
        self._under_way = 0
        self._uploads_under_way = 0
        self._next_look = 0.0
        self.measures: dict[str, Measure] = {
            "requests_under_way": lambda: self._under_way,
            "uploads_under_way": lambda: self._uploads_under_way,
            "audit_records_waiting": lambda: self.recorder.unwritten,
            "epoch_age_seconds": lambda: self.epoch.age,
            "database_waiting": lambda: database.waiting,
        }
        """Gauges by their names in the metrics, and what tells them."""
        self.metrics.set("build_info", 1.0, *build())
        self.metrics.set("worker_start_time_seconds", clock(), str(worker))
        self._readiness = Readiness(self.database, self.blobs, self.registry.uploads.check_space, clock=time.monotonic)
        self.ready = False

    def _recording(self) -> Callable[[Judgement], None]:
        """What the gate hands its decisions to."""
        telemetry = self._telemetry
        if telemetry is None:
            return self.recorder.record

        def record(judgement: Judgement) -> None:
            self.recorder.record(judgement)
            telemetry.note(judgement)

        return record

    def _iam(self) -> Iam:
        return Iam(
            self.database,
            self.directory,
            self.epoch,
            self.gate,
            self._vault,
            self.registry.clock,
            settled={self._root.id: self._root.principal.account},
            plain_issuers=self._settings.auth.plain_issuers,
        )

    def _sts(self) -> Sts:
        clock = self.registry.clock
        return Sts(
            self.database,
            self.directory,
            self.gate,
            self.keyring,
            self.sessions,
            Messages(self._vault, clock),
            Issuers(time.monotonic, plain_hosts=self._settings.auth.plain_issuers),
            clock,
        )

    def _ecr_registry(self) -> EcrRegistry:
        def endpoint(registry: RegistryId, call: EcrCall) -> str:
            return self.hosts.url(registry, Origin(call.source_ip, call.host, call.secure))

        return EcrRegistry(
            database=self.database,
            repositories=self.registry.repositories,
            policies=self.registry.policies,
            images=Images(self.database, clock=self.registry.clock),
            uploads=self.registry.uploads,
            push=self.registry.push,
            pull=self._pull,
            links=self.links,
            tokens=self.tokens,
            gate=self.gate,
            endpoint=endpoint,
        )

    async def start(self) -> None:
        """Load keys and begin the background loops."""
        await self.signing.load()
        self._loops.start("metrics", self._save_metrics)
        self._loops.start("signing-keys", self._refresh_keys)
        if self._telemetry is not None:
            self._loops.start("telemetry", self._telemetry.exporter.send)
        if not self._settings.server.read_only:
            self._loops.start("pulls", self._pull.record)
            self._loops.start("usage", self.usage.record)
            self._loops.start("audit", self._record_decisions)
            self._loops.start("audit-retention", self._forget_decisions)
            self.recorder.when_full(lambda: self._loops.wake("audit"))
            self._loops.start("collector", self.rounds.turn)
        self.ready = True

    async def stop(self) -> None:
        """End the loops, write down what is pending, let go of the store."""
        self.ready = False
        await self._loops.stop()
        try:
            await self.recorder.close()
        except (DatabaseFull, DatabaseUnavailable) as error:
            self._log.failure("the last decisions could not be put on record", error)
        except Sealed:  # none were to be
            pass
        # all of these come right by themselves after a while
        with contextlib.suppress(DatabaseFull, DatabaseUnavailable, Sealed):
            await self._pull.record()
            await self.usage.record()
            if self._retention is not None:
                await self._retention.drop()
            await self.rounds.stop()
        await self.blobs.close()
        await self.database.close()
        if self._telemetry is not None:
            await self._telemetry.exporter.close()

    async def handle(self, exchange: Exchange) -> Reply:
        """Answer one request; log and count it."""
        exchange.request_id = self._new_request_id()
        headers = exchange.headers
        origin = self.hosts.origin(exchange.peer, headers.get("Host", ""), exchange.secure, headers)
        visit = Visit(exchange, origin)
        if self._telemetry is not None and visit.path not in _OPERATED:
            self._telemetry.begin(visit)
        exchange.on_end = partial(self._end, visit)
        self._under_way += 1
        self._uploads_under_way += visit.uploads
        try:
            reply = await self._enter(visit)
            if self._accel and origin.proxied:
                reply = hand_over(reply, self._accel)
            visit.status = reply.status
        finally:
            self.metrics.request(visit.route, exchange.method, visit.status, visit.seconds)
            if visit.status >= 500:
                self.metrics.add("errors")
        return reply

    async def _enter(self, visit: Visit) -> Reply:
        if not self._is_limited or visit.path in _OPERATED:
            return await self._dispatch(visit)
        try:
            await self._limits.enter_address(visit)
            return await self._dispatch(visit)
        except Refused as error:
            if visit.path == "/":
                return self._aws.refuse(visit)
            return too_many(error)

    def _end(self, visit: Visit, sent: int) -> None:
        """The last byte of the answer was handed over, or there is no answer."""
        exchange, metrics = visit.exchange, self.metrics
        self._limits.leave(visit)
        received = exchange.received
        self._under_way -= 1
        self._uploads_under_way -= visit.uploads
        if received:
            metrics.add("http_received_bytes", received, visit.route)
        if sent:
            metrics.add("http_sent_bytes", sent, visit.route)
        if self._telemetry is not None:
            self._telemetry.end(visit, path=_shown(visit), received=received, sent=sent)
        if self._log.access_enabled:
            self._log.access(
                method=exchange.method,
                path=_shown(visit),
                status=visit.status,
                seconds=visit.seconds,
                received=received,
                sent=sent,
                client=visit.origin.client,
                principal=visit.principal,
                agent=exchange.headers.get("User-Agent", ""),
                request_id=exchange.request_id,
                code=visit.code,
                refused=visit.refused,
                waited=visit.waited,
                trace_id=visit.trace_id,
            )

    def unreadable(self, exchange: Exchange, status: int, reason: str) -> None:
        """A request that is no HTTP, or asks too much of it, was refused."""
        self.metrics.add("http_unreadable")
        if self._log.access_enabled:
            self._log.event(
                "a request cannot be read",
                status=status,
                reason=reason[:200],
                client=exchange.peer,
                request_id=exchange.request_id,
            )

    async def _dispatch(self, visit: Visit) -> Reply:
        exchange, origin, path = visit.exchange, visit.origin, visit.path
        if path.startswith("/v2/") or path == "/v2":
            registry = self.hosts.registry_of(origin.host)
            call = Call(
                method=exchange.method,
                path=path,
                query=visit.query,
                headers=exchange.headers,
                body=exchange.body,
                proceed=exchange.proceed,
                host=origin.host,
                registry=registry,
                groups={},
                caller=_NOBODY,
                entered=partial(self._limits.enter_principal, visit) if self._is_limited else None,
                circumstances=Circumstances(
                    source_ip=origin.client,
                    secure=origin.secure,
                    user_agent=exchange.headers.get("User-Agent", ""),
                    region=registry.region,
                    request_id=exchange.request_id,
                    referer=exchange.headers.get("Referer", ""),
                ),
            )
            try:
                reply = await self._oci.answer(call)
                visit.refused = reply.refused
            finally:
                visit.route = call.route or visit.route
                visit.principal, visit.kind = call.caller.principal.arn, call.caller.principal.kind
                visit.repository = call.groups.get("name", "")
                visit.reference = call.groups.get("reference") or call.groups.get("digest", "")
            self.usage.note(call.caller.principal, "ecr", registry.region)
            return reply
        if path == "/":
            visit.route = "aws"
            return await self._aws.answer(visit)
        if path in _OPERATED:
            visit.route = path
            if exchange.method not in {"GET", "HEAD"}:
                return Reply(405, [("Allow", "GET, HEAD"), _TEXT], b"use GET\n")
            return await self._operate(path)
        if path == "/token":
            visit.route = path
            region = self.hosts.registry_of(origin.host).region
            authorization = exchange.headers.get("Authorization")
            try:
                reply = await self._token.answer(
                    exchange.method, visit.query, authorization, exchange.body, region=region
                )
                visit.refused = reply.refused
                return reply
            except (DatabaseFull, DatabaseUnavailable) as error:
                return self._cannot(error, visit)
        if path.startswith(LINKS):
            visit.route = LINKS
            return await self._link(visit)
        return Reply(
            404,
            [("Content-Type", "application/json")],
            b'{"errors":[{"code":"NAME_UNKNOWN","message":"there is nothing here"}]}',
        )

    async def _link(self, visit: Visit) -> Reply:
        exchange = visit.exchange
        try:
            return await self.links.answer(exchange.method, visit.path, exchange.headers)
        except RegistryError as error:
            return Reply(TABLE[type(error)].status, [_TEXT], f"{error.message}\n".encode())
        except (DatabaseFull, DatabaseUnavailable, StoreUnavailable) as error:
            return self._cannot(error, visit)

    def _cannot(self, error: Exception, visit: Visit) -> Reply:
        """Where neither dialect answers: the store or the database is away."""
        told = outage(error)
        assert told is not None
        self._log.failure("a request failed", error, path=visit.route, request_id=visit.exchange.request_id)
        row = TABLE[type(told)]
        body = {"errors": [{"code": row.code, "message": told.message}]}
        return Reply(row.status, [("Content-Type", "application/json")], json.dumps(body).encode())

    async def _operate(self, path: str) -> Reply:
        if path == "/metrics":
            self._measure()
            standing = None
            with contextlib.suppress(DatabaseUnavailable):  # the rest is worth having
                standing = await find_standing(self.database)
            return Reply(200, [("Content-Type", CONTENT_TYPE)], await asyncio.to_thread(self.metrics.render, standing))
        if path == "/healthz":
            return Reply(200, [_TEXT], b"ok\n")
        if not self.ready:
            return Reply(503, [_TEXT], b"not ready: the server is starting or stopping\n")
        ready, said = await self._readiness.look()
        return Reply(200 if ready else 503, [_TEXT], f"{said}\n".encode())

    def _challenge(self, call: Call, scope: str, error: str) -> tuple[str, str]:
        """What the settings say; where a Bearer token was no good (`error`), what such a token has to be."""
        origin = Origin("", call.host, call.circumstances.secure)
        url = self.hosts.url(call.registry, origin)
        if self._settings.auth.challenge == "basic" and not error:
            return ("WWW-Authenticate", f'Basic realm="{url}/",service="ecr.amazonaws.com"')
        fields = f'Bearer realm="{url}/token",service="{url.partition("://")[2]}"'
        if scope:
            fields += f',scope="{scope}"'
        if error:
            fields += f',error="{error}"'
        return ("WWW-Authenticate", fields)

    def _report(self, error: BaseException, call: Call) -> None:
        self._log.failure(
            "a request failed", error, method=call.method, path=call.path, request_id=call.circumstances.request_id
        )

    def _report_operation(self, error: BaseException, operation: str, request_id: str) -> None:
        self._log.failure("a request failed", error, operation=operation, path="/", request_id=request_id)

    # -- background loops

    async def _record_decisions(self) -> float:
        await self.recorder.flush()
        return PERIOD

    async def _forget_decisions(self) -> float:
        # a lease a round, never renewed: its end is when the next round is due, for all processes
        lease = Lease(self._notes, "audit", f"{new_uuid()}", clock=time.time, seconds=_RETENTION)
        if await lease.is_free() and await lease.take():
            self._retention = lease
            settings = self._settings.audit
            keep = settings.keep_days * 86400
            gone = await Trail(self._notes).trim(time.time(), keep=keep, largest=settings.max_bytes)
            if gone:
                self._log.event("forgot decisions", decisions=gone)
        return _LOOK

    async def _save_metrics(self) -> float:
        now = time.monotonic()
        if self._next_look:
            self.metrics.set("worker_lag_seconds", max(0.0, now - self._next_look), str(self._worker))
        self._measure()
        await asyncio.to_thread(self._measure_machine)
        await asyncio.to_thread(self.metrics.save)
        self._next_look = time.monotonic() + _LOOK
        return _LOOK

    def _measure(self) -> None:
        for name, measure in self.measures.items():
            value = measure()
            if math.isfinite(value):
                self.metrics.set(name, value)
        for by in ("address", "principal"):
            self.metrics.set("limits_waiting", self._limits.waiting(by), by)

    def _measure_machine(self) -> None:
        for name, value in usage().items():
            self.metrics.set(name, value, str(self._worker))
        disk = os.statvfs(self._settings.data)
        self.metrics.set("disk_free_bytes", disk.f_bavail * disk.f_frsize)
        self.metrics.set("disk_size_bytes", disk.f_blocks * disk.f_frsize)

    async def _refresh_keys(self) -> float:
        await self.signing.load()
        return 3600.0

    def _report_collection(self, kind: Kind, done: Collected) -> None:
        self.metrics.add("collected_uploads", done.uploads)
        self.metrics.add("collected_blobs", done.freed)
        self.metrics.add("collected_bytes", done.bytes)
        self.metrics.add("collected_orphans", done.orphans)
        if done.anything:
            self._log.event(
                "collected",
                kind=kind,
                uploads=done.uploads,
                purged=done.purged,
                referrers=done.referrers,
                unlinked=done.unlinked,
                freed=done.reclaimed.total.items,
                bytes=done.bytes,
            )


def _shown(visit: Visit) -> str:
    """The path as the log has it: the token of a link is left out, the operation of an AWS call is put in."""
    if visit.path.startswith(LINKS):
        return LINKS + "..."
    if visit.path == "/":
        return "/ " + (visit.operation or (visit.exchange.headers.get("X-Amz-Target") or "").rpartition(".")[2])
    return visit.path
