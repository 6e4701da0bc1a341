"""The example files are what their readers would read: every setting exists, every name that one file uses another has."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.settings import PREFIX, load_settings
from tests.parts import system
from tests.require import need

EXAMPLES = Path(__file__).resolve().parents[3] / "config" / "examples"
COMPOSE = EXAMPLES / "replicas" / "compose.yaml"
KUBERNETES = EXAMPLES / "kubernetes"
PROXIES = ("haproxy.cfg", "nginx.conf")


def read(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def objects() -> Iterator[dict[str, Any]]:
    """What `kubectl apply -k` sends, but for generated secrets."""
    (kustomization,) = read(KUBERNETES / "kustomization.yaml")
    for name in kustomization["resources"]:
        yield from read(KUBERNETES / name)


def of_kind(kind: str, name: str) -> dict[str, Any]:
    (found,) = (one for one in objects() if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script makes."""
    directory = tmp_path_factory.mktemp("secrets")
    script = [EXAMPLES / "secrets.sh", directory]
    subprocess.run(script, check=True, capture_output=True)
    made = {path.name: path.read_text() for path in directory.iterdir()}
    subprocess.run(script, check=True, capture_output=True)
    assert made == {path.name: path.read_text() for path in directory.iterdir()}, "what is there stays"
    return directory


def check_settings(environment: dict[str, Any], mounted: str, secrets: Path) -> None:
    """Settings as a replica reads them, with its secrets where it has them."""
    assert all(isinstance(value, str) and name.startswith(PREFIX) for name, value in environment.items())
    found = {name: value.replace(mounted, f"{secrets}") for name, value in environment.items()}
    settings = load_settings(environment=found)
    assert settings.database.url == (secrets / "database_url").read_text()
    assert settings.storage.driver == "s3"
    assert settings.storage.s3_secret_access_key == (secrets / "s3_secret").read_text()
    assert len(settings.root.access_key_id) == 20
    assert settings.root.secret_access_key == (secrets / "root_secret").read_text()
    assert Path(settings.secrets.key_file).read_text().strip()
    for line in (secrets / "s3.env").read_text().splitlines():
        assert line in {
            f"ROOT_ACCESS_KEY={settings.storage.s3_access_key_id}",
            f"ROOT_SECRET_KEY={settings.storage.s3_secret_access_key}",
        }


def test_the_settings_of_compose_are_settings(secrets: Path) -> None:
    (document,) = read(COMPOSE)
    replicas = [name for name in document["services"] if name.startswith("replica-")]
    assert len(replicas) == 3
    for name in replicas:
        service = document["services"][name]
        check_settings(service["environment"], "/run/secrets", secrets)
        assert set(service["secrets"]) <= document["secrets"].keys()
        grace = float(service["stop_grace_period"].removesuffix("s"))
        assert grace > load_settings(environment={}).server.drain
    for secret in document["secrets"].values():
        assert (secrets / Path(secret["file"]).name).exists()


def test_services_of_compose_name_what_there_is() -> None:
    (document,) = read(COMPOSE)
    services = document["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= services.keys()
        volumes = [volume.partition(":")[0] for volume in service.get("volumes", ())]
        assert all(name in document["volumes"] or (COMPOSE.parent / name).is_file() for name in volumes)
    replica = services["replica-1"]["environment"]
    assert services["balancer"]["networks"]["inside"]["ipv4_address"] == replica["LONGSHORE_SERVER__TRUSTED_PROXIES"]
    bucket = services["bucket"]["command"][-1]
    assert bucket == f"{services['s3']['command'][-1]}/{replica['LONGSHORE_STORAGE__S3_BUCKET']}"


@pytest.mark.parametrize("proxy", PROXIES)
def test_balancers_name_all_replicas(proxy: str) -> None:
    (document,) = read(COMPOSE)
    replicas = {name for name in document["services"] if name.startswith("replica-")}
    text = (COMPOSE.parent / proxy).read_text()
    assert set(re.findall(r"(replica-\d):5000", text)) == replicas


def test_the_settings_of_kubernetes_are_settings(secrets: Path) -> None:
    pod = of_kind("Deployment", "longshore")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == "secrets")
    check_settings(of_kind("ConfigMap", "longshore")["data"], mount["mountPath"], secrets)
    (kustomization,) = read(KUBERNETES / "kustomization.yaml")
    for generated in kustomization["secretGenerator"]:
        for file in (*generated.get("files", ()), *generated.get("envs", ())):
            assert (secrets / Path(file).name).exists()


def test_replicas_of_kubernetes_are_probed_drained_and_kept() -> None:
    deployment = of_kind("Deployment", "longshore")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    pause = float(container["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert pod["terminationGracePeriodSeconds"] > pause + load_settings(environment={}).server.drain
    assert container["resources"].keys() == {"requests", "limits"}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    budget = of_kind("PodDisruptionBudget", "longshore")["spec"]
    assert 0 < budget["minAvailable"] < deployment["spec"]["replicas"] == 3
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (
        deployment["spec"]["selector"]["matchLabels"],
        budget["selector"]["matchLabels"],
        of_kind("Service", "longshore")["spec"]["selector"],
    ):
        assert selector.items() <= labels.items()


def test_objects_of_kubernetes_name_what_there_is() -> None:
    (kustomization,) = read(KUBERNETES / "kustomization.yaml")
    names = {(one["kind"], one["metadata"]["name"]) for one in objects()}
    names |= {("Secret", one["name"]) for one in kustomization["secretGenerator"]}
    for one in objects():
        if one["kind"] not in {"Deployment", "StatefulSet"}:
            continue
        pod = one["spec"]["template"]["spec"]
        volumes = {volume["name"] for volume in pod.get("volumes", ())}
        volumes |= {claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", ())}
        for volume in pod.get("volumes", ()):
            if "secret" in volume:
                assert ("Secret", volume["secret"]["secretName"]) in names
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            assert {mount["name"] for mount in container.get("volumeMounts", ())} <= volumes
            for source in container.get("envFrom", ()):
                assert all(
                    ({"configMapRef": "ConfigMap", "secretRef": "Secret"}[kind], reference["name"]) in names
                    for kind, reference in source.items()
                )


def test_the_settings_of_one_machine_are_settings() -> None:
    settings = load_settings(EXAMPLES / "one-machine" / "longshore.toml", environment={})
    proxy = (EXAMPLES / "one-machine" / "nginx.conf").read_text()
    assert f"location {settings.storage.accel_redirect} {{" in proxy
    assert f"alias {settings.data}/blobs/files/;" in proxy
    assert f"server {settings.server.host}:{settings.server.port};" in proxy
    assert settings.server.trusted_proxies == (settings.server.host,)


def test_the_unit_runs_the_settings_of_one_machine() -> None:
    directory = EXAMPLES / "one-machine"
    settings = load_settings(directory / "longshore.toml", environment={})
    unit = dict(re.findall(r"^(\w+)=(.*)$", (directory / "longshore.service").read_text(), flags=re.MULTILINE))
    assert unit["ExecStart"].endswith("/bin/longshore serve --config /etc/longshore/longshore.toml")
    assert f"/var/lib/{unit['StateDirectory']}" == str(settings.data)
    assert float(unit["TimeoutStopSec"]) > settings.server.drain
    assert f"user {unit['User']};" in (directory / "nginx.conf").read_text()  # who may read the blobs that it sends


def test_what_systemd_reads_of_the_unit_is_right(tmp_path: Path) -> None:
    program = need("clients", system("systemd-analyze"), "systemd-analyze")
    unit = tmp_path / "longshore.service"
    text = (EXAMPLES / "one-machine" / "longshore.service").read_text()
    assert text.count("/opt/longshore/bin/longshore") == 1
    unit.write_text(text.replace("/opt/longshore/bin/longshore", sys.executable))
    done = subprocess.run(
        [program, "verify", unit],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if unit.name in line]) == (0, [])


def test_secrets_are_for_nobody_else(secrets: Path) -> None:
    kept = {"database_password", "s3.env"}
    assert all((secrets / name).stat().st_mode & 0o077 == 0 for name in kept)
    if os.geteuid() == 0:
        assert all(path.stat().st_mode & 0o077 == 0 for path in secrets.iterdir())
