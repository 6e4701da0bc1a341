"""With the real names pointing here and a certificate for them, AWS tools need no endpoint and no option at all."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import parts
from tests.acceptance.conftest import AWS_CLIS, BASE, containers_program
from tests.acceptance.images import Layout, archive, image, noise
from tests.acceptance.names import Namespace, certify
from tests.acceptance.programs import Engine, EngineUnavailableError, Program, bare_environment
from tests.live import LiveServer
from tests.ports import free_port
from tests.require import missing, need

ACCOUNT = "123456789012"
REGIONS = ("us-east-1", "eu-west-1")
HOME = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
NAMES = [
    name
    for region in REGIONS
    for name in (f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com", f"api.ecr.{region}.amazonaws.com")
]
# A loopback address of its own, so that the port of https is free whatever else this machine serves.
ADDRESS = "127.77.0.5"


@dataclass(frozen=True)
class Amazon:
    """A server under Amazon's names, an engine beside it, and what a program needs to believe in both."""

    server: LiveServer
    namespace: Namespace
    engine: Engine
    trust: dict[str, str]

    def program(self, path: Path, home: Path, **environment: str) -> Program:
        """A program that sees the names, trusts the certificate, and has the root key but no endpoint."""
        home.mkdir(parents=True, exist_ok=True)
        keys = self.server.aws_environment(home)
        del keys["AWS_ENDPOINT_URL"]
        return Program(
            path, bare_environment(home, **keys, **self.trust, **environment), prefix=self.namespace.prefix, cwd=home
        )

    def docker(self, home: Path, **environment: str) -> Program:
        path = need("docker", parts.system("docker"), "docker, the client")
        config = str(home / ".docker")
        return self.program(
            path, home, DOCKER_HOST=self.engine.host, DOCKER_CONFIG=config, DOCKER_BUILDKIT="0", **environment
        )


@pytest.fixture(scope="module")
def amazon(tmp_path_factory: pytest.TempPathFactory, root_files: Path) -> Iterator[Amazon]:
    program = need("docker", parts.system("dockerd"), "dockerd")
    if os.geteuid() != 0:
        missing("docker", "root, to bind /etc/hosts in a namespace, is not here")
    directory = tmp_path_factory.mktemp("amazon")
    authority, certificate, key = certify(directory, NAMES, [ADDRESS])
    trust = {"SSL_CERT_FILE": str(authority), "AWS_CA_BUNDLE": str(authority)}
    server = LiveServer(
        directory / "server",
        host=ADDRESS,
        port=443,
        scheme="https",
        settings={"tls.certificate": str(certificate), "tls.key": str(key)},
    )
    with server, Namespace(directory, ADDRESS, NAMES) as namespace:
        engine = Engine(
            directory / "engine", program, prefix=namespace.prefix, environment=bare_environment(directory, **trust)
        )
        try:
            engine.start()
        except EngineUnavailableError as unavailable:
            missing("docker", str(unavailable))
        try:
            amazon = Amazon(server, namespace, engine, trust)
            amazon.docker(directory / "home")("import", str(root_files), BASE)
            yield amazon
        finally:
            engine.stop()


@pytest.fixture(params=AWS_CLIS)
def aws(request: pytest.FixtureRequest, amazon: Amazon, tmp_path: Path) -> Program:
    path = parts.built("aws-cli-1") if request.param == "v1" else parts.system("aws")
    return amazon.program(need("clients", path, f"AWS CLI {request.param}"), tmp_path / "aws-home")


@pytest.fixture
def created(amazon: Amazon, tmp_path: Path) -> Callable[..., str]:
    """Makes a repository by the unmodified AWS CLI; gives its URI."""
    path = need("clients", parts.built("aws-cli-1"), "AWS CLI v1")
    aws = amazon.program(path, tmp_path / "create-home")

    def make(name: str, region: str = "us-east-1") -> str:
        arguments = ("ecr", "create-repository", "--repository-name", name, "--region", region, "--output", "json")
        return str(json.loads(aws(*arguments))["repository"]["repositoryUri"])

    return make


HELPERS: dict[str, Callable[[], Path | None]] = {
    "debian": lambda: parts.system("docker-credential-ecr-login"),
    "current": lambda: parts.built("ecr-login"),
}


@pytest.fixture(params=HELPERS)
def helper(request: pytest.FixtureRequest) -> Path:
    return need("clients", HELPERS[request.param](), f"amazon-ecr-credential-helper ({request.param})")


# skopeo knows the second form only.
FOR_EVERY_REGISTRY = {"credsStore": "ecr-login"}
FOR_ONE_REGISTRY = {"credHelpers": {HOME: "ecr-login"}}


def with_helper(helper: Path, config: Path, setting: Mapping[str, Any]) -> dict[str, str]:
    """What makes docker and its kin ask the credential helper: `setting` is either of the two forms of its README."""
    config.mkdir(parents=True)
    (config / "config.json").write_text(json.dumps(setting))
    return {"PATH": f"{helper.parent}:{parts.SYSTEM_PATH}"}


def test_the_documented_login_works_to_the_letter(
    aws: Program, amazon: Amazon, created: Callable[..., str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    docker = amazon.docker(tmp_path / "docker-home")
    password = aws("ecr", "get-login-password", "--region", "us-east-1")
    printed = docker("login", "--username", "AWS", "--password-stdin", HOME, stdin=password)
    assert "Login Succeeded" in printed
    number = AWS_CLIS.index(request.node.callspec.params["aws"])
    uri = created(f"documented-{number}")
    assert uri == f"{HOME}/documented-{number}"
    docker("tag", BASE, f"{uri}:v1")
    docker("push", f"{uri}:v1")
    docker("rmi", "--force", f"{uri}:v1")
    docker("pull", f"{uri}:v1")
    assert docker("run", "--rm", "--network", "none", f"{uri}:v1", "/bin/cat", "/etc/base") == "base\n"


def test_the_credential_helper_logs_docker_in(
    helper: Path, amazon: Amazon, created: Callable[..., str], tmp_path: Path
) -> None:
    home = tmp_path / "docker-home"
    uri = created(f"helped-{'current' if helper == parts.built('ecr-login') else 'debian'}")
    environment = with_helper(helper, home / ".docker", FOR_EVERY_REGISTRY)
    docker = amazon.docker(home, AWS_ECR_DISABLE_CACHE="1")
    docker = docker.using(**environment)
    docker("tag", BASE, f"{uri}:v1")
    docker("push", f"{uri}:v1")
    docker("rmi", "--force", f"{uri}:v1")
    docker("pull", f"{uri}:v1")


def test_the_credential_helper_answers_with_the_user_aws(helper: Path, amazon: Amazon, tmp_path: Path) -> None:
    program = amazon.program(helper, tmp_path / "helper-home", AWS_ECR_DISABLE_CACHE="1")
    answer = json.loads(program("get", stdin=HOME))
    assert answer["Username"] == "AWS"
    assert len(answer["Secret"]) > 100


def test_the_credential_helper_works_by_an_endpoint_setting_and_a_port(amazon: Amazon, tmp_path: Path) -> None:
    """Without the port of https: a hosts entry for the registry, PUBLIC_URL saying its name, and AWS_ENDPOINT_URL."""
    path = need("clients", parts.built("ecr-login"), "amazon-ecr-credential-helper (current)")
    authority, certificate, key = certify(tmp_path, NAMES, ["127.0.0.1"])
    port = free_port()
    settings = {
        "server.public_url": f"https://{{account}}.dkr.ecr.{{region}}.amazonaws.com:{port}",
        "tls.certificate": str(certificate),
        "tls.key": str(key),
    }
    with LiveServer(tmp_path / "server", port=port, scheme="https", settings=settings) as server:
        program = Program(
            path,
            bare_environment(
                tmp_path, **server.aws_environment(tmp_path), SSL_CERT_FILE=str(authority), AWS_ECR_DISABLE_CACHE="1"
            ),
        )
        answer = json.loads(program("get", stdin=f"{HOME}:{port}"))
    assert answer["Username"] == "AWS"


def test_the_credential_helper_logs_skopeo_in(
    helper: Path, amazon: Amazon, created: Callable[..., str], tmp_path: Path
) -> None:
    uri = created(f"skopeo-{'current' if helper == parts.built('ecr-login') else 'debian'}")
    bare = containers_program("skopeo", tmp_path)
    home = Path(bare.environment["HOME"])
    environment = with_helper(helper, home / ".docker", FOR_ONE_REGISTRY)
    without_auth = {key: value for key, value in bare.environment.items() if key != "REGISTRY_AUTH_FILE"}
    skopeo = amazon.program(bare.path, home, AWS_ECR_DISABLE_CACHE="1").using(**{**without_auth, **environment})
    layout = Layout(tmp_path / "image")
    layout.tag("v1", layout.add(image([archive({"content": noise(100_000, uri)})])))
    skopeo("copy", f"oci:{layout.directory}:v1", f"docker://{uri}:v1")
    assert json.loads(skopeo("inspect", f"docker://{uri}:v1"))["Name"] == uri


def test_a_region_in_the_name_is_a_registry_of_its_own(
    amazon: Amazon, created: Callable[..., str], tmp_path: Path
) -> None:
    uri = created("only-in-europe", region="eu-west-1")
    assert uri == f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/only-in-europe"
    docker = amazon.docker(tmp_path / "docker-home")
    server = amazon.server
    for region in REGIONS:
        host = f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com"
        docker("login", "--username", server.access_key_id, "--password-stdin", host, stdin=server.secret_access_key)
    docker("tag", BASE, f"{uri}:v1")
    docker("push", f"{uri}:v1")
    docker("tag", BASE, f"{HOME}/only-in-europe:v1")
    printed = docker.fails("push", f"{HOME}/only-in-europe:v1")
    assert "The repository with name 'only-in-europe' does not exist" in printed


def test_go_clients_push_and_pull_by_the_real_name(amazon: Amazon, created: Callable[..., str], tmp_path: Path) -> None:
    uri = created("by-crane")
    crane = amazon.program(need("clients", parts.built("crane"), "crane"), tmp_path / "crane-home")
    server = amazon.server
    crane("auth", "login", HOME, "--username", server.access_key_id, "--password-stdin", stdin=server.secret_access_key)
    layout = Layout(tmp_path / "image")
    descriptor: dict[str, Any] = layout.add(image([archive({"content": noise(100_000, uri)})]))
    layout.tag("v1", descriptor)
    crane("push", str(layout.directory), f"{uri}:v1")
    assert crane("digest", f"{uri}:v1").strip() == descriptor["digest"]
    crane("validate", "--remote", f"{uri}:v1")
