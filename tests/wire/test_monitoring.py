"""The dashboard and the alert rules among the examples name what a live server shows."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server.metrics import COLLECTION, FAMILIES, Kind
from tests.live import ROOT, LiveServer
from tests.parts import SYSTEM_PATH
from tests.require import need
from tests.wire.client import Client

EXAMPLES = ROOT / "config" / "examples"
ALERTS = EXAMPLES / "prometheus" / "alerts.yml"
DASHBOARD = EXAMPLES / "grafana" / "longshore.json"
NAMERS = [
    ALERTS,
    EXAMPLES / "prometheus" / "alerts_test.yml",
    DASHBOARD,
    ROOT / "docs" / "operate.md",
]
OURS = {"instance", "job", "le", "worker"}
"""Labels that every series, or every bucket, may have."""


def named(text: str) -> set[str]:
    return set(re.findall(r"\blongshore_[a-z_]+[a-z]", text))


def shown(server: LiveServer) -> set[str]:
    """Names of series, by what the server says of their types."""
    with Client(server) as client:
        text = client("GET", "/metrics").body.decode()
    found = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, flags=re.MULTILINE):
        found |= {f"{name}{end}" for end in ("", "_bucket", "_count", "_sum")} if kind == "histogram" else {name}
    return found


def queries() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    found += re.findall(r"expr: (?:\|\n((?:\s{10}.*\n)+)|(.*))", ALERTS.read_text())
    return ["".join(one) for one in found]


@pytest.mark.parametrize("file", NAMERS, ids=lambda path: path.name)
def test_every_metric_that_is_named_is_shown(server: LiveServer, file: Path) -> None:
    names = named(file.read_text())
    assert names
    assert names - shown(server) == set()


def test_everything_that_is_shown_is_on_the_dashboard(server: LiveServer) -> None:
    on_it = {re.sub(r"_(bucket|count|sum)$", "", name) for name in named(DASHBOARD.read_text())}
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in shown(server)}
    assert families - on_it == set()


def test_queries_use_the_labels_that_metrics_have() -> None:
    labels = {f"longshore_{family.name}": set(family.labels) for family in (*FAMILIES, *COLLECTION)} | {
        "longshore_workers": set()
    }
    for query in queries():
        metrics = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in named(query)}
        if query.startswith("label_values"):
            continue
        known = set.union(OURS, *(labels[name] for name in metrics))
        used = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=(?!=))", query))
        for group in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", query):
            used |= {label.strip() for label in group.split(",")}
        assert used <= known, query


def test_counters_are_asked_for_their_increase() -> None:
    counters = {f"longshore_{family.name}_total" for family in (*FAMILIES, *COLLECTION) if family.kind is Kind.COUNTER}
    for query in queries():
        for name in named(query) & counters:
            assert re.search(rf"\b(rate|increase)\({name}\b", query), query


def test_panels_have_their_own_places_and_the_data_source_of_the_dashboard() -> None:
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "alerts.yml"), ("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")],
    ids=" ".join,
)
def test_promtool_accepts_the_examples(arguments: tuple[str, ...]) -> None:
    promtool = need("clients", shutil.which("promtool", path=SYSTEM_PATH), "promtool (Debian's prometheus)")
    ended = subprocess.run(
        [promtool, *arguments], cwd=ALERTS.parent, capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "FAILED" not in ended.stdout
