"""Results as JUnit XML, which CI systems read."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from auth.rehearsal.results import Result

_UNPRINTABLE: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""


def report(suites: Mapping[str, Sequence[Result]], labels: Mapping[str, Callable[[Result], str]]) -> bytes:
    """One test suite a file, one test case a decision. `labels` name the decisions of a file."""
    everything = [one for several in suites.values() for one in several]
    root = Element("testsuites", {"name": "longshore policy test", **_counts(everything)})
    for file, results in suites.items():
        suite = SubElement(root, "testsuite", {"name": _clean(file), **_counts(results)})
        for result in results:
            case = SubElement(
                suite,
                "testcase",
                classname=_clean(file),
                name=_clean(labels[file](result)),
                file=_clean(file),
                line=str(result.case.line),
            )
            if not result.passed:
                failure = SubElement(case, "failure", message=_clean(result.problem), type="unexpected decision")
                failure.text = _clean(result.explanation.text())
    indent(root)
    content: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _counts(results: Sequence[Result]) -> dict[str, str]:
    failed = sum(not one.passed for one in results)
    return {"tests": str(len(results)), "failures": str(failed), "errors": "0", "skipped": "0"}


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("�", text)
