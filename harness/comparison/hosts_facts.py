"""Which fact tells the hosts of a finding from all others: Fisher's exact test.

Whatever is recorded of kernel, engine, runtime, CPU and image is asked. It tells what goes
together, and not what causes what: facts that the same hosts have cannot be told from each other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from scipy import stats

from harness.comparison.hosts_apart import ALPHA
from harness.comparison.significance import adjusted
from harness.model import Separation

LEAST = 2
"""Hosts with a value, and of a finding: one alone has nothing in common."""


def groups(facts: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, frozenset[str]]]:
    """Fact → value → the hosts that have it, of the facts in which hosts differ."""
    found: dict[str, dict[str, set[str]]] = {}
    for host, mine in facts.items():
        for fact, value in mine.items():
            found.setdefault(fact, {}).setdefault(value, set()).add(host)
    return {
        fact: {value: frozenset(hosts) for value, hosts in values.items()}
        for fact, values in found.items()
        if len(values) > 1
    }  # fmt: skip


def separations(
    findings: Mapping[str, Collection[str]],
    of: Mapping[str, Mapping[str, frozenset[str]]],
    hosts: Collection[str],
) -> tuple[Separation, ...]:
    """Of each finding the fact that its hosts share most surely, where that is more than chance.

    ``findings`` has the hosts of each by its name, ``of`` is what ``groups`` gives of ``hosts``.
    One-sided: whether hosts with a value have the finding more often than those without. Adjusted
    over all findings and values.
    """
    # What the same hosts have is one question, and its p is asked once.
    values: dict[frozenset[str], list[tuple[str, str]]] = {}
    for fact, mine in of.items():
        for value, having in mine.items():
            if len(having) >= LEAST:
                values.setdefault(having, []).append((fact, value))
    asked: dict[frozenset[str], list[str]] = {}
    for name, among in findings.items():
        if len(among) >= LEAST:
            asked.setdefault(frozenset(among), []).append(name)
    pairs = [(among, having) for among in asked for having in values]
    ps = adjusted(_ps(pairs, len(hosts)))
    best: dict[frozenset[str], tuple[float, int, frozenset[str]]] = {}
    for (among, having), p in zip(pairs, ps, strict=True):
        # Of two as sure, the one that misses fewer hosts.
        key = p, len(among ^ having), having
        if p <= ALPHA and (among not in best or key[:2] < best[among][:2]):
            best[among] = key
    out = []
    for among, (p, _, having) in best.items():
        (fact, value), *same = values[having]
        out.append(Separation(
            finding=", ".join(asked[among]), fact=fact, value=value, same=tuple(same),
            among=len(among & having), having=len(having),
            among_others=len(among - having), others=len(hosts) - len(having), adjusted_p=p,
        ))  # fmt: skip
    return tuple(sorted(out, key=lambda one: (one.adjusted_p, -one.among)))


def _ps(pairs: Sequence[tuple[frozenset[str], frozenset[str]]], hosts: int) -> list[float]:
    """Fisher's exact p of each: of so many or more in both, were they dealt out at random."""
    if not pairs:
        return []
    both, among, having = np.array(
        [(len(a & b), len(a), len(b)) for a, b in pairs]
    ).T  # fmt: skip
    return [float(p) for p in stats.hypergeom.sf(both - 1, hosts, among, having)]
