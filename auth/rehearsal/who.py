"""Who asks, as people write it."""

import re
from dataclasses import dataclass
from typing import Final

from auth.access import ANONYMOUS, Principal, PrincipalKind, Session, SessionKind
from auth.directory import identity_arn

FORMS: Final = (
    "user/NAME, role/NAME, assumed-role/ROLE/SESSION, federated-user/NAME, oidc-provider/HOST (whoever shows its token), "
    "root, anonymous, or an ARN of these"
)
SESSION: Final = "rehearsal"
"""What a role's session is called where nothing is said of it."""
_ARN: Final = re.compile(r"arn:[a-z-]+:(?P<service>iam|sts)::(?P<account>[0-9]{12}):(?P<rest>.+)", re.ASCII)
_NAME: Final = re.compile(r"[\w+=,.@-]+", re.ASCII)
_SHOWN: Final = {
    PrincipalKind.USER: "user",
    PrincipalKind.ROLE_SESSION: "role",
    PrincipalKind.FEDERATED_USER: "federated-user",
}
_SECONDS: Final = 3600


class WhoUnclear(ValueError):
    """Nobody can be named so. The message is a sentence without capital and full stop."""


@dataclass(frozen=True, slots=True)
class Who:
    """`path` as in ARNs, `/` where there is none. `session` is a role's, `provider` the ARN of an identity provider."""

    kind: PrincipalKind
    account: str
    name: str = ""
    path: str = "/"
    session: str = ""
    provider: str = ""

    @property
    def short(self) -> str:
        """How a result names it."""
        if self.kind is PrincipalKind.ROOT:
            return "root"
        if self.provider:
            return (
                self.provider.partition(":oidc-provider/")[1].strip(":") + self.provider.partition(":oidc-provider/")[2]
            )
        if self.kind is PrincipalKind.ANONYMOUS:
            return "anonymous"
        return f"{_SHOWN[self.kind]}{self.path}{self.name}"

    @property
    def identity(self) -> tuple[PrincipalKind, str, str]:
        """Alike of all sessions of a role: whose policies count. Names differ in more than their case."""
        return self.kind, self.account, self.name.lower() or self.provider


def parse_who(text: str, account: str) -> Who:
    """One of FORMS; where no account is named it is in `account`. Raises WhoUnclear."""
    if text == "anonymous":
        return Who(PrincipalKind.ANONYMOUS, "")
    arn = _ARN.fullmatch(text)
    if arn is None and text.startswith("arn:"):
        raise WhoUnclear(f"`{text}` is the ARN of nobody who asks: say {FORMS}")
    rest = text
    if arn is not None:
        account, rest = arn["account"], arn["rest"]
    found = _parse(rest, account)
    if found is None:
        raise WhoUnclear(f"`{text}` is nobody who asks: say {FORMS}")
    return found


def _parse(rest: str, account: str) -> Who | None:
    if rest == "root":
        return Who(PrincipalKind.ROOT, account)
    kind, _, name = rest.partition("/")
    if kind == "oidc-provider" and name:
        return Who(PrincipalKind.ANONYMOUS, "", provider=f"arn:aws:iam::{account}:oidc-provider/{name}")
    if kind == "assumed-role":
        role, _, session = name.partition("/")
        named = _NAME.fullmatch(role) and _NAME.fullmatch(session)
        return Who(PrincipalKind.ROLE_SESSION, account, role, session=session) if named else None
    if kind == "federated-user" and _NAME.fullmatch(name):
        return Who(PrincipalKind.FEDERATED_USER, account, name)
    path, _, last = f"/{name}".rpartition("/")
    if not _NAME.fullmatch(last):
        return None
    if kind == "user":
        return Who(PrincipalKind.USER, account, last, f"{path}/")
    if kind == "role":
        return Who(PrincipalKind.ROLE_SESSION, account, last, f"{path}/", session=SESSION)
    return None


def principal_of(who: Who, *, at: float, identity_id: str = "") -> Principal:
    """The principal that such a caller is. `identity_id` is the unique id of the user or role, where there is one."""
    account, name = who.account, who.name
    match who.kind:
        case PrincipalKind.ANONYMOUS if who.provider:
            session = Session(SessionKind.WEB_IDENTITY, "", at, at, provider=who.provider)
            return Principal(who.kind, "", ANONYMOUS.arn, who.provider, session=session)
        case PrincipalKind.ANONYMOUS:
            return ANONYMOUS
        case PrincipalKind.ROOT:
            arn = identity_arn("", account, "", "root")
            return Principal(who.kind, account, arn, account, identity_arn=arn, identity_id=account)
        case PrincipalKind.USER:
            arn = identity_arn("user", account, who.path, name)
            return Principal(who.kind, account, arn, identity_id, identity_arn=arn, identity_id=identity_id, name=name)
        case PrincipalKind.FEDERATED_USER:
            arn = f"arn:aws:sts::{account}:federated-user/{name}"
            session = Session(SessionKind.FEDERATION, name, at, at + _SECONDS)
            return Principal(
                who.kind, account, arn, f"{account}:{name}", identity_arn=arn, identity_id=identity_id, session=session
            )
        case PrincipalKind.ROLE_SESSION:
            return Principal(
                who.kind,
                account,
                f"arn:aws:sts::{account}:assumed-role/{name}/{who.session}",
                f"{identity_id}:{who.session}" if identity_id else "",
                identity_arn=identity_arn("role", account, who.path, name),
                identity_id=identity_id,
                name=name,
                session=Session(SessionKind.ROLE, who.session, at, at + _SECONDS),
            )
