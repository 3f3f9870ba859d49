"""Two runs of claims beside each other: which semantics are others now."""

from __future__ import annotations

from harness.model import ClaimChange, ClaimsCompared, ClaimsInfo, ClaimText
from harness.store.claims import ClaimsRun


def compare(before: ClaimsRun, after: ClaimsRun) -> ClaimsCompared:
    """Each claim that either has a result of, in the later run's order, those that vanished last.

    A claim that the later run was not asked for has not vanished: nobody knows.
    """
    texts: dict[str, ClaimText] = {one.id: one for one in before.info.claims}
    texts |= {one.id: one for one in after.info.claims}
    asked = [one.id for one in after.info.claims]
    unfinished = after.info.status != "finished"
    changes = []
    for claim_id in dict.fromkeys((*asked, *(one.id for one in before.results))):
        was, now = before.result(claim_id), after.result(claim_id)
        left_out = now is None and (unfinished or _is_part(before, after))
        if (was is None and now is None) or left_out:
            continue
        text = texts[claim_id]
        changes.append(ClaimChange(claim_id, text.sentence, text.korean, was, now))
    return ClaimsCompared(before.info, after.info, tuple(changes), _differences(before, after))


def _is_part(before: ClaimsRun, after: ClaimsRun) -> bool:
    """Whether the later run was asked for some of the claims only, by name."""
    return len(after.info.claims) < len(before.info.claims) and {
        one.id for one in after.info.claims
    } < {one.id for one in before.info.claims}


def _differences(before: ClaimsRun, after: ClaimsRun) -> tuple[tuple[str, str, str], ...]:
    was, now = _facts(before.info), _facts(after.info)
    return tuple((name, was[name], now[name]) for name in was if was[name] != now[name])


def _facts(info: ClaimsInfo) -> dict[str, str]:
    """What may make semantics others."""
    engine = info.engine
    return {
        "engine": f"{engine.name} {engine.version}",
        "runtime": f"{engine.runtime} {engine.runtime_version}",
        "cgroup": f"v{engine.cgroup_version}, {engine.cgroup_driver}",
        "kernel": engine.kernel,
        "storage": engine.storage_driver,
        "limitbench": info.harness_version,
    }
