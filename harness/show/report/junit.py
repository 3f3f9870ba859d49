"""JUnit XML, for Jenkins or GitLab."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as Xml

from harness.wording import visible

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, escaped or not."""


def document(name: str, suites: Mapping[str, Sequence[tuple[str, str, str]]]) -> str:
    """The suites, each of test cases: (name, ``failure``, ``error``, ``skipped`` or none, reason).

    The reason stands in the message, which Jenkins shows, and in the text, which GitLab does.
    """
    root = Xml.Element("testsuites", name=name)
    for title, cases in suites.items():
        tally = Counter(kind for _, kind, _ in cases)
        suite = Xml.SubElement(
            root, "testsuite", name=_xml(title), tests=str(len(cases)),
            failures=str(tally["failure"]), errors=str(tally["error"]),
            skipped=str(tally["skipped"]),
        )  # fmt: skip
        for case_name, kind, reason in cases:
            case = Xml.SubElement(suite, "testcase", classname=_xml(title), name=_xml(case_name))
            if kind:
                given = Xml.SubElement(case, kind, message=_xml(reason))
                given.text = _xml(reason)
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, "unicode") + "\n"


def _xml(text: str) -> str:
    return _NO_XML.sub("�", visible(text))
