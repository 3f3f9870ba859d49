"""A notebook that was run, as one HTML page.

Its words, its code, and what came of it.

Like every page of ours it fetches nothing and runs nothing. (nbconvert's pages load scripts from
elsewhere.)
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from harness.show.report import page

_ANSI = re.compile("\x1b\\[[0-9;]*m")
_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)\b[^>]*>", re.IGNORECASE)
_TABLE = {"table", "thead", "tbody", "tr", "th", "td", "p", "div"}
"""What pandas and our own tables are made of; whatever else an output holds is shown as text."""


@dataclass(frozen=True, slots=True)
class Block:
    """One part of the page: words, code, or what code put out."""

    kind: str
    """``words``, ``code``, ``text``, ``table`` or ``picture``."""
    body: Markup


def render(document: Mapping[str, Any], title: str) -> str:
    """The page of a notebook, as ``notebook.execute`` gives it."""
    blocks = [block for cell in document["cells"] for block in _blocks(cell)]
    return page.render("notebook.html", title=title, blocks=blocks)


def _blocks(cell: Mapping[str, Any]) -> Iterator[Block]:
    source = _joined(cell["source"])
    if cell["cell_type"] == "markdown":
        # Without raw HTML, and without links that run something: markdown-it refuses those itself.
        reader = MarkdownIt("commonmark", {"html": False}).enable("table")
        yield Block("words", Markup(reader.render(source)))
        return
    if cell["cell_type"] != "code":
        return
    yield Block("code", escape(source))
    for output in cell.get("outputs", []):
        yield from _output(output)


def _output(output: Mapping[str, Any]) -> Iterator[Block]:
    match output["output_type"]:
        case "stream":
            yield Block("text", escape(_ANSI.sub("", _joined(output["text"]))))
        case "error":
            yield Block("text", escape(_ANSI.sub("", "\n".join(output["traceback"]))))
        case _:
            data, said = output["data"], output.get("metadata", {}).get("image/png", {})
            if "image/png" in data:
                yield Block("picture", _picture(data["image/png"], said))
            elif "text/html" in data:
                yield Block("table", _only_tables(_joined(data["text/html"])))
            else:
                yield Block("text", escape(_joined(data.get("text/plain", ""))))


def _picture(data: object, said: Mapping[str, Any]) -> Markup:
    plain = base64.b64encode(base64.b64decode(_joined(data))).decode()
    alt = said.get("alt") or "a figure"
    width = said.get("width")
    size = Markup(' width="{}"').format(int(width)) if isinstance(width, int) else ""
    return Markup('<img src="data:image/png;base64,{}" alt="{}"{}>').format(plain, alt, size)


def _only_tables(text: str) -> Markup:
    """The tables of an output, without attributes, styles and anything that is no table."""
    text = re.sub(r"<style\b.*?</style>", "", text, flags=re.DOTALL | re.IGNORECASE)

    def kept(found: re.Match[str]) -> str:
        name = found[2].lower()
        if name not in _TABLE:
            return str(escape(found[0]))
        return "" if name == "div" else f"<{found[1]}{name}>"

    return Markup(_TAG.sub(kept, text))


def _joined(text: object) -> str:
    return "".join(text) if isinstance(text, list) else str(text)
