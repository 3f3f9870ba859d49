"""What others did to a container of ours, by the engine's own events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

import docker
import requests
import urllib3

_TIMEOUT_S = 5.0
_DONE = {
    "pause": "paused",
    "unpause": "unpaused",
    "update": "updated",
    "rename": "renamed",
    "exec_start": "entered by exec",
    "checkpoint": "checkpointed",
    "commit": "committed, which pauses it",
    "kill": "sent a signal",
    "destroy": "removed",
}
"""Event → what was done (docs.docker.com, API, /events). Others change nothing that is measured."""


def done_by_others(
    api: docker.APIClient, container_id: str, since: str, seconds: float, own_signals: int
) -> Sequence[str]:
    """In words and in their order, from the time ``since`` (the engine's, RFC 3339) on.

    ``own_signals`` are those that we sent it. Empty where the engine does not tell.
    """
    first = datetime.fromisoformat(since).timestamp()
    asked = {
        "since": f"{first:.6f}",
        "until": f"{first + seconds:.6f}",  # without it the answer would never end
        "filters": json.dumps({"type": ["container"], "container": [container_id]}),
    }
    url = f"{api.base_url}/v{api.api_version}/events"
    try:
        # By the SDK's session and not its events(), which waits without end.
        answer = api.get(url, params=asked, timeout=_TIMEOUT_S)
        told = [json.loads(line) for line in answer.text.splitlines()] if answer.ok else []
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError):
        return ()  # where the engine is gone, it does not remove the container either
    found = []
    for name in (str(one.get("Action", "")).partition(":")[0] for one in told):
        if name == "kill" and own_signals:
            own_signals -= 1
        elif name in _DONE:
            found.append(_DONE[name])
    return list(dict.fromkeys(found))
