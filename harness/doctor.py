"""What can be measured here, what will disturb it: from facts to findings. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness import limits as rules
from harness import units
from harness.model import EngineFacts, HostConditions, HostFacts
from harness.privileges import WHERE_VISIBLE
from harness.wording import counted

BUSY_LOAD_SHARE = 0.1
"""A load average above this share of the CPUs is a host that does something else."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the doctor looked at. ``bad`` means that a sweep cannot work."""

    subject: str
    grade: Literal["ok", "note", "bad"]
    text: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """The finding as plain data."""
        return {
            "subject": self.subject,
            "grade": self.grade,
            "text": self.text,
            "remedy": self.remedy,
        }


def examine(
    host: HostFacts,
    engine: EngineFacts | None,
    now: HostConditions,
    *,
    obstacle: str = "",
    left: tuple[str, ...] = (),
) -> list[Finding]:
    """Findings in the order in which a user needs them.

    ``obstacle`` is why no private engine can be had, where no engine answers; empty where it can.
    ``left`` names what a bench that died has left running here or on the engine.
    """
    findings = [_engine(engine, obstacle)]
    if engine is not None:
        findings += [_cgroup(host, engine), _driver(engine), *_limits(engine)]
        findings += [_swap_limit(engine, now), *_rootless(engine, now), *_podman(engine)]
        findings += [_engine_cpus(engine), *_weights(engine)]
    findings += [
        _root(now),
        _cpus(host),
        _tick(host),
        *_left(left),
        _load(host, now),
        _steal(now),
        _governor(host),
        _swap(host),
    ]
    return findings


def _engine(engine: EngineFacts | None, obstacle: str) -> Finding:
    if engine is not None:
        whose = "private, started by `bench engine start`" if engine.private else engine.host
        beneath = "" if engine.limits_by[0] == engine.runtime else " ".join(engine.limits_by)
        return Finding(
            "engine", "ok", f"{engine.name} {engine.version} ({whose}), {engine.runtime} "
            f"{engine.runtime_version}{beneath and f' ({beneath} beneath)'}, "
            f"{engine.storage_driver}",
        )  # fmt: skip
    if not obstacle:
        return Finding(
            "engine", "note", "none answers; `bench sweep` will start a private one",
            "Nothing to do, or name yours with --engine-host or DOCKER_HOST.",
        )  # fmt: skip
    return Finding("engine", "bad", f"none answers, and none can be started: {obstacle}",
                   "Start Docker, or name an engine with --engine-host.")  # fmt: skip


def _cgroup(host: HostFacts, engine: EngineFacts) -> Finding:
    if engine.kernel != host.kernel:
        return Finding(
            "cgroup", "note",
            f"the engine runs on another kernel ({engine.kernel}, here {host.kernel}): its cgroup "
            "files are read by a container that a sweep starts there; bench inspect starts none",
            "On the engine's own host bench reads them itself.",
        )  # fmt: skip
    if host.cgroup_version is None:
        return Finding(
            "cgroup", "note", "the host's root cgroup is not visible here, as in a container: its "
            "files are read by a container that a sweep starts; bench inspect starts none",
            WHERE_VISIBLE,
        )  # fmt: skip
    return Finding("cgroup", "ok", f"v{engine.cgroup_version}, counters and root readable here")


def _driver(engine: EngineFacts) -> Finding:
    if engine.no_cgroups:
        return Finding(
            "driver", "bad", f"none: {engine.no_cgroups}",
            "Rootless engines need cgroup v2 under systemd: boot with "
            "systemd.unified_cgroup_hierarchy=1.",
        )  # fmt: skip
    if engine.cgroup_driver == "systemd":
        return Finding(
            "driver", "note", "systemd: it rounds quotas up to 1 % of a CPU, at once or when it "
            "writes them again (systemctl daemon-reload)",
            "Values of --cpus with two decimals are not affected.",
        )  # fmt: skip
    return Finding("driver", "ok", engine.cgroup_driver)


_SWAP = "swap limit"


def _limits(engine: EngineFacts) -> list[Finding]:
    # The daemon's own warnings name each limit that the kernel does not offer.
    missing = [text for text in engine.warnings if _SWAP not in text and ("limit" in text
               or "cfs" in text or "cpuset" in text or "shares" in text)]  # fmt: skip
    if not missing:
        return [Finding("limits", "ok", "the engine reports every limit as supported")]
    return [
        Finding("limits", "note", f"{text}, says the engine", "The kernel or its boot options "
                "lack it, or the engine's own cgroup was not given it: a sweep's read-back tells.")
        for text in missing
    ]  # fmt: skip


def _swap_limit(engine: EngineFacts, now: HostConditions) -> Finding:
    """What the engine says of swap accounting, beside what this kernel has."""
    told = next((text for text in engine.warnings if _SWAP in text), "")
    if not told and now.swap_accounted is not False:
        return Finding("swap limit", "ok", "the engine can limit swap")
    if now.swap_accounted:
        return Finding(
            "swap limit", "note", f"{told}, says the engine; this kernel has it: an engine in the "
            "root cgroup does not see it", "Start the engine as a service of systemd, or within a "
            "cgroup of its own.",
        )  # fmt: skip
    return Finding(
        "swap limit", "note", f"{told or 'none'}: --memory-swap is not in force",
        "Boot with swapaccount=1, or a kernel with CONFIG_MEMCG_SWAP; until then swap is not "
        "exercisable here.",
    )  # fmt: skip


NEEDED_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")


def _rootless(engine: EngineFacts, now: HostConditions) -> list[Finding]:
    """A rootless engine has the controllers that systemd hands to its user, and no others."""
    if not engine.rootless:
        return []
    if engine.cgroup_version == 1:
        return [Finding(
            "rootless", "bad", "the engine runs without root on cgroup v1, where no user is given "
            "a controller: limits are ignored", "Boot with systemd.unified_cgroup_hierarchy=1, or "
            "use the engine of root.",
        )]  # fmt: skip
    if now.delegated is None:
        return [Finding(
            "rootless", "note", "the engine runs without root; which controllers its user has been "
            "given cannot be seen from here", "Run bench as that user, on the engine's host.",
        )]  # fmt: skip
    missing = [name for name in NEEDED_CONTROLLERS if name not in now.delegated]
    if not missing:
        return [Finding("rootless", "ok", "its user has been given the controllers "
                        f"{', '.join(now.delegated)}")]  # fmt: skip
    return [Finding(
        "rootless", "bad", f"its user has not been given {', '.join(missing)}: those limits are "
        "ignored", "Put [Service] and Delegate=cpu cpuset io memory pids into "
        "/etc/systemd/system/user@.service.d/delegate.conf, then systemctl daemon-reload and log "
        "in again.",
    )]  # fmt: skip


def _podman(engine: EngineFacts) -> list[Finding]:
    """What Podman's compatible API does otherwise than Docker; see docs/decisions/021."""
    if engine.name != rules.PODMAN:
        return []
    return [
        Finding(
            "Podman", "note", "its Docker-compatible API ignores --runtime and --memory-swap -1, "
            "and need not tell OOM kills (4.3 tells none)",
            "bench takes neither from it: kills are counted in the kernel's files.",
        ),
        Finding(
            "docker stats", "note", "Podman sends one in 5 s, without throttling or page cache",
            "For some within each window give --duration 11 or more.",
        ),
    ]  # fmt: skip


def _root(now: HostConditions) -> Finding:
    if now.root and now.raises_priority:
        return Finding("root", "ok", "yes: the sampler can raise its priority")
    if now.root:
        return Finding(
            "root", "note", "yes, but without CAP_SYS_NICE: the sampler cannot raise its priority, "
            "so reads may come late beside busy containers",
            "In a container: docker run --cap-add SYS_NICE.",
        )  # fmt: skip
    return Finding("root", "note", "no: reads may come late beside busy containers",
                   "Run as root for exact window edges.")  # fmt: skip


def _cpus(host: HostFacts) -> Finding:
    where = f", {host.virtualisation}" if host.virtualisation else ""
    text = f"{host.cpus} x {host.cpu_model}{where}"
    if host.usable_cpus < host.cpus:
        return Finding("CPUs", "note", f"{text}; this process may use {host.usable_cpus} of them",
                       "An affinity or cpuset binds us, and an engine that we start.")  # fmt: skip
    return Finding("CPUs", "ok", text)


def _engine_cpus(engine: EngineFacts) -> Finding:
    """Which CPUs its containers may be given, beside how many it says that there are."""
    subject, cpus = "containers' CPUs", engine.cpus_to_give
    if not cpus.known:
        return Finding(
            subject, "note", f"{counted(cpus.most, 'CPU')}, says the engine; which ones cannot be "
            f"seen from here: taken for {cpus.text}",
            "Run bench on the engine's own host, or name others in --values and --cpuset-cpus.",
        )  # fmt: skip
    if cpus.most < cpus.count:
        return Finding(
            subject, "note", f"{cpus.text}; the engine itself is kept to {cpus.most} of them: it "
            f"refuses more --cpus than {cpus.most}, and may hand its affinity on to containers "
            "without a cpuset",
            "Lift CPUAffinity=, taskset or isolcpus from the engine, or mind it in --values.",
        )  # fmt: skip
    if cpus.most > cpus.count:
        return Finding(
            subject, "note", f"{cpus.text} of the engine's {cpus.most}: the cgroup that containers "
            "lie in has no others",
            "Give that cgroup's cpuset, or its slice's AllowedCPUs=, the others again.",
        )  # fmt: skip
    return Finding(subject, "ok", cpus.text)


def _weights(engine: EngineFacts) -> list[Finding]:
    """That shares cannot be judged, where nothing tells what the runtime makes of them."""
    if engine.cgroup_version == 1 or rules.weight_formula(*engine.limits_by):
        return []
    return [Finding(
        "shares", "note", f"the runtime {engine.runtime} does not tell which version of runc or "
        "crun it runs, and so not by which formula shares become weights: ratios of shares get no "
        "verdict", "Run bench on the engine's own host, as a user who may run that runtime.",
    )]  # fmt: skip


def _tick(host: HostFacts) -> Finding:
    hz = round(1e9 / host.tick_ns)
    return Finding(
        "tick",
        "ok",
        f"{units.milliseconds(host.tick_ns)} ({hz} Hz): CPU counters move in such steps",
    )


def _left(left: tuple[str, ...]) -> list[Finding]:
    if not left:
        return []
    return [Finding("leftovers", "note", f"a bench that died has left {', '.join(left)}",
                    "The next sweep removes them, or `bench clean` does.")]  # fmt: skip


def _load(host: HostFacts, now: HostConditions) -> Finding:
    if now.load > max(0.3, BUSY_LOAD_SHARE * host.cpus):
        return Finding("load", "note", f"{now.load:.2f} tasks were runnable over the last minute",
                       "Stop what else runs: foreign CPU rejects trials.")  # fmt: skip
    return Finding("load", "ok", f"{now.load:.2f} tasks runnable over the last minute")


def _steal(now: HostConditions) -> Finding:
    if now.steal_share is None:
        return Finding("steal", "note", "not known: /proc/stat cannot be read")
    if now.steal_share > 0.005:
        return Finding(
            "steal", "note", f"{now.steal_share:.1%} of the CPU time since boot went to other "
            "machines; docker stats' CPU % leaves it out and reads too high",
            "Measure on a host of your own, or at another hour.",
        )  # fmt: skip
    return Finding("steal", "ok", f"{now.steal_share:.2%} of the CPU time since boot")


def _governor(host: HostFacts) -> Finding:
    if host.governor in (None, "performance"):
        return Finding("governor", "ok", host.governor or "none: the host sets no frequency")
    return Finding(
        "governor", "note", f"{host.governor}: work per CPU second changes with the load",
        "Shares of CPU are not affected; for work figures set 'performance'.",
    )  # fmt: skip


def _swap(host: HostFacts) -> Finding:
    if not host.swap_bytes:
        return Finding("swap", "note", "none: --memory-swap has nothing to give",
                       "Only swap sweeps need it.")  # fmt: skip
    return Finding("swap", "ok", units.size(host.swap_bytes))
