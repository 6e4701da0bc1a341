"""Findings as a SARIF log (OASIS, "Static Analysis Results Interchange Format", version 2.1.0)."""

import contextlib
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from auth.lint.linter import Report
from auth.lint.rules import RULES, Finding

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_POSITIONS: Final = {rule: number for number, rule in enumerate(RULES)}


def log(reports: Mapping[str, Report], refused: Sequence[str], *, directory: str) -> dict[str, Any]:
    """The log of one run. `reports` by file as it was named; `refused` says what could not be read; relative files lie
    under `directory`."""
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver()},
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"WORKDIR": {"uri": f"{Path(directory).as_uri()}/"}},
                "invocations": [
                    {
                        "executionSuccessful": not refused,
                        "toolExecutionNotifications": [
                            {"level": "error", "message": {"text": message}} for message in refused
                        ],
                    }
                ],
                "results": [
                    _result(file, report, finding) for file, report in reports.items() for finding in report.findings
                ],
            }
        ],
    }


def _driver() -> dict[str, Any]:
    driver: dict[str, Any] = {
        "name": "longshore policy lint",
        "rules": [
            {
                "id": rule.id,
                "shortDescription": {"text": f"{rule.meaning[0].upper()}{rule.meaning[1:]}."},
                "defaultConfiguration": {"level": rule.level.word},
            }
            for rule in RULES.values()
        ],
    }
    with contextlib.suppress(PackageNotFoundError):  # run from its tree
        driver["version"] = version("longshore")
    return driver


def _result(file: str, report: Report, finding: Finding) -> dict[str, Any]:
    place = report.place(finding)
    return {
        "ruleId": finding.rule.id,
        "ruleIndex": _POSITIONS[finding.rule.id],
        "level": finding.rule.level.word,
        "message": {"text": finding.message},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _location(file),
                    "region": {
                        "startLine": place.line,
                        "startColumn": place.column,
                        "endLine": place.end_line,
                        "endColumn": place.end_column,
                    },
                }
            }
        ],
    }


def _location(file: str) -> dict[str, str]:
    if file == "-":
        return {"uri": "stdin"}
    path = Path(file)
    if path.is_absolute():
        return {"uri": path.as_uri()}
    return {"uri": quote(path.as_posix()), "uriBaseId": "WORKDIR"}
