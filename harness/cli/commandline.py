"""The command line as a run keeps it: without secrets."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence

_SECRET = re.compile(
    r"--?[\w-]*(pass|secret|token|key|credential|auth)[\w-]*", re.IGNORECASE | re.ASCII
)
_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*(?=@)")
_HIDDEN = "***"


def kept(arguments: Sequence[str]) -> str:
    """``bench`` with these arguments, as a shell takes it.

    The value of an option whose name sounds like a secret is left out, wherever it stands, also in
    the quoted options of ``bench ab``; of an address, its user and password. Arguments may be any
    bytes; the run's records are UTF-8.
    """
    words = ["bench", *_without_secrets(arguments)]
    return os.fsencode(shlex.join(words)).decode(errors="replace")


def _without_secrets(arguments: Sequence[str]) -> list[str]:
    found: list[str] = []
    hidden = False
    for word in arguments:
        name, given, _ = word.partition("=")
        if hidden and not word.startswith("--"):
            found.append(_HIDDEN)
            hidden = False
            continue
        hidden = not given and bool(_SECRET.fullmatch(word))
        if given and _SECRET.fullmatch(name):
            found.append(f"{name}={_HIDDEN}")
        elif " " in word and _SECRET.search(word):
            found.append(shlex.join(_without_secrets(word.split())))
        else:
            found.append(_IN_ADDRESS.sub(_HIDDEN, word))
    return found
