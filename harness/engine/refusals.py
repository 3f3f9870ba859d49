"""What the SDK raises, or its transport, as one line of ours."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

import docker
import docker.errors
import requests
import urllib3

from harness.errors import EngineError, EngineRefusedError

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn what the SDK and its transport raise into one line of ours; each call is logged."""
    began = time.monotonic()
    try:
        yield
        _log.debug("%s: %.1f ms", doing, (time.monotonic() - began) * 1e3)
    except docker.errors.APIError as error:
        said = f"{error.explanation or error}".rstrip(".")
        _log.info("%s: refused after %.1f ms: %s", doing, (time.monotonic() - began) * 1e3, said)
        raise EngineRefusedError(
            f"the engine refused to {doing}: {said}{_in_other_words(said)}.", "See `bench doctor`."
        ) from error
    except (docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError,
            OSError) as error:  # fmt: skip
        _log.warning("%s: no answer after %.1f s: %r", doing, time.monotonic() - began, error)
        raise EngineError(
            f"the engine stopped answering (while trying to {doing}).",
            "See `bench engine status` and the engine's log; `bench clean` removes what is left.",
        ) from error


def _in_other_words(refusal: str) -> str:
    """What the kernel meant, where the runtime tells a file's name and no more."""
    words = refusal.lower()
    if "cpu.cfs_quota_us" in words and "invalid argument" in words:
        # kernel/sched/core.c, tg_cfs_schedulable_down; v2 takes the smaller of the two instead.
        return " (on cgroup v1: a cgroup above may have a smaller share of CPU time than this)"
    if "cgroup" in words and "read-only file system" in words:
        return " (the engine's cgroup tree is mounted read-only, as in a container)"
    return ""
