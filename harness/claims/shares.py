"""Claims about --cpu-shares."""

from __future__ import annotations

from collections.abc import Iterable

from harness.claims import kernel
from harness.claims.claim import Claim, Expected, NotExercisableError, Topic, When, decided
from harness.claims.measured import claimed, measure
from harness.engine.laboratory import Laboratory
from harness.limits import NEW_WEIGHTS, OLD_WEIGHTS, EngineCpus
from harness.model import ClaimVerdict, ContainerSpec, Finding, Limits, Point, Spin
from harness.plan.axes import Options

_WEIGHTS = "kernel Documentation/admin-guide/cgroup-v2.rst"
_CONVERSION = "opencontainers/cgroups, ConvertCPUSharesToCgroupV2Value"
_LOOP = "sh -c 'while :; do :; done'"
_V1, _V2 = When(cgroup=1), When(cgroup=2)
_OLD = When(cgroup=2, weights=OLD_WEIGHTS)
_NEW = When(cgroup=2, weights=NEW_WEIGHTS)


def _cap_alone(lab: Laboratory) -> Finding:
    """As the claim has it, 512 of 1024 shares leave a lone container half of the CPUs."""
    found = measure(lab, "shares", "512")
    return claimed(found, "cpus", found.law("cpus").value / 2)


def _option_name(lab: Laboratory) -> Finding:
    labels = [word for key, value in lab.labels.items() for word in ("--label", f"{key}={value}")]
    try:
        ended = lab.command_line("create", *labels, "--cpuset-shares", "512", lab.hand)
    except FileNotFoundError:
        raise NotExercisableError("there is no docker command here, whose option it is") from None
    said = ended.errors.strip().partition("\n")[0] or "no error"
    return decided(
        ended.exit_code == 0,
        f"docker create --cpuset-shares 512 ended with exit code {ended.exit_code}: {said}",
        exit_code=ended.exit_code,
    )


def _weight(lab: Laboratory, shares: int | None = None) -> tuple[int, str]:
    """What the kernel weighs a new container with, and the file that says so."""
    box = lab.create("sleep", "60", cpu_shares=shares).start()
    held = kernel.limits_of(box)
    if held.cpu_shares is not None:
        return held.cpu_shares, "cpu.shares"
    if held.cpu_weight is not None:
        return held.cpu_weight, "cpu.weight"
    raise NotExercisableError("the container's weight is not visible")


def _default_is_1024(lab: Laboratory) -> Finding:
    weight, file = _weight(lab)
    said = f"without --cpu-shares the kernel holds {weight} in {file}"
    return decided(weight == 1024, said, held=weight)


def _explicit_1024(lab: Laboratory) -> Finding:
    unset, file = _weight(lab)
    explicit, _ = _weight(lab, 1024)
    return decided(
        unset == explicit,
        f"the kernel holds {explicit} in {file} with --cpu-shares 1024, and {unset} without it",
        with_1024=explicit, unset=unset,
    )  # fmt: skip


def _same_by_default(lab: Laboratory) -> Finding:
    def two(_: Options, cpus: EngineCpus) -> Iterable[Point]:
        # On one CPU: across several the balancer moves whole threads.
        limits = Limits(cpuset_cpus=f"{cpus.numbers[-1]}")
        spec = ContainerSpec(limits=limits, workload=Spin(threads=1))
        yield Point(id="unset:unset", axis="shares", value="unset:unset", containers=(spec, spec))

    return claimed(measure(lab, "shares", "1024:1024", points_of=two), "ratio", 1.0)


def _two_to_one(lab: Laboratory) -> Finding:
    return claimed(measure(lab, "shares", "1024:512"), "ratio", 2.0)


CLAIMS = (
    Claim(
        id="shares-cap-a-lone-container",
        topic=Topic.SHARES,
        sentence="--cpu-shares limits how much CPU a container may use.",
        korean="--cpu-shares는 컨테이너가 사용할 수 있는 CPU 양을 제한한다.",
        refuted_by="A lone container with half of the default shares uses more than half the CPUs.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "a weight decides only between those that compete",
                "kernel Documentation/scheduler/sched-design-CFS.rst; measured on v1 and v2",
            ),
        ),
        by_hand=(
            f"docker run -d --name one --cpu-shares 512 IMAGE {_LOOP}",
            "docker stats --no-stream one",
        ),
        story="Shares are a weight. Where nobody else wants the CPU, the container gets all of it, "
        "with 512 shares as with 1024. A ceiling is what --cpus sets.",
        experiment=_cap_alone,
    ),
    Claim(
        id="option-is-cpuset-shares",
        topic=Topic.SHARES,
        sentence="The option that sets CPU shares is --cpuset-shares.",
        korean="CPU 공유 비율을 지정하는 옵션은 --cpuset-shares이다.",
        refuted_by="The docker command does not know it.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "it is --cpu-shares, or -c; what begins with --cpuset is about which CPUs",
                "docker/cli cli/command/container/opts.go; measured on 20.10 and 28.2",
            ),
        ),
        by_hand=(
            "docker create --cpuset-shares 512 IMAGE   # unknown flag",
            "docker create --help | grep -e -shares",
        ),
        story="Some notes mix up two options: --cpu-shares is a weight, --cpuset-cpus a list of "
        "CPUs. The docker command refuses the mixture before it asks the engine, with exit code "
        "125. Asked by its API, the engine leaves out a field that it does not know, silently.",
        experiment=_option_name,
    ),
    Claim(
        id="default-share-is-1024",
        topic=Topic.SHARES,
        sentence="A container without --cpu-shares has 1024 of them.",
        korean="--cpu-shares를 지정하지 않은 컨테이너의 기본값은 1024이다.",
        refuted_by="The kernel's file holds another number.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the kernel's default of cpu.shares",
                "kernel Documentation/scheduler/sched-design-CFS.rst; measured",
                _V1,
            ),
            Expected(
                ClaimVerdict.REFUTED,
                "cgroup v2 has no shares: the default of cpu.weight is 100",
                f"{_WEIGHTS}, cpu.weight",
                _V2,
            ),
        ),
        by_hand=(
            "docker run -d --name one IMAGE sleep 60",
            "docker inspect -f '{{.HostConfig.CpuShares}}' one   # 0: not set",
            "docker exec one cat /sys/fs/cgroup/cpu/cpu.shares   # v2: /sys/fs/cgroup/cpu.weight",
        ),
        story="docker inspect says 0, which is not set, and the kernel's default holds: 1024 in "
        "cpu.shares on cgroup v1, 100 in cpu.weight on v2. On v2 the runtime makes a weight of "
        "the shares that are asked for, and what it makes of 1024 depends on its version.",
        experiment=_default_is_1024,
    ),
    Claim(
        id="same-weight-by-default",
        topic=Topic.SHARES,
        sentence="By default all containers have the same CPU weight.",
        korean="기본적으로 모든 컨테이너의 CPU 가중치는 같다.",
        refuted_by="Of two that compete for one CPU, one gets more than the other.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "each cgroup begins with the kernel's default weight",
                f"{_WEIGHTS}; sched-design-CFS.rst; measured",
            ),
        ),
        by_hand=(
            f"docker run -d --name one --cpuset-cpus 0 IMAGE {_LOOP}",
            f"docker run -d --name two --cpuset-cpus 0 IMAGE {_LOOP}",
            "docker stats --no-stream one two   # about 50 % each",
        ),
        story="Where two containers want one CPU, each gets half, however many threads it has: the "
        "weight is the cgroup's. It shows only where they compete, and surely only on one CPU; "
        "over several the scheduler moves whole threads, and the halves are rough.",
        experiment=_same_by_default,
    ),
    Claim(
        id="explicit-1024-is-the-default",
        topic=Topic.SHARES,
        sentence="--cpu-shares 1024 is the same as no --cpu-shares.",
        korean="--cpu-shares 1024는 --cpu-shares를 지정하지 않은 것과 같다.",
        refuted_by="The kernel holds another weight for the one than for the other.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "1024 is the kernel's default of cpu.shares",
                "kernel Documentation/scheduler/sched-design-CFS.rst; measured",
                _V1,
            ),
            Expected(
                ClaimVerdict.REFUTED,
                "runc before 1.3.2 and crun before 1.23 make 39 of 1024, and the default is 100",
                _CONVERSION,
                _OLD,
            ),
            Expected(
                ClaimVerdict.HOLDS,
                "runc since 1.3.2 and crun since 1.23 make 100 of 1024, the default",
                _CONVERSION,
                _NEW,
            ),
        ),
        by_hand=(
            "docker run -d --name one IMAGE sleep 60",
            "docker run -d --name two --cpu-shares 1024 IMAGE sleep 60",
            "docker exec one cat /sys/fs/cgroup/cpu.weight   # v1: cpu/cpu.shares",
            "docker exec two cat /sys/fs/cgroup/cpu.weight",
        ),
        story="On cgroup v2 an older runtime drew a line from 2 to 262144 shares on the weights 1 "
        "to 10000, and 1024 came to 39, while a container that asks for nothing has 100. So "
        "whoever wrote the documented default had less than half of what others got. Newer "
        "runtimes draw a curve through 1024 and 100.",
        experiment=_explicit_1024,
    ),
    Claim(
        id="shares-divide-two-to-one",
        topic=Topic.SHARES,
        sentence="Containers with 1024 and 512 shares divide a CPU as 2 to 1.",
        korean="--cpu-shares가 1024와 512인 컨테이너는 CPU를 2:1로 나누어 쓴다.",
        refuted_by="On one CPU, the one with 1024 gets more or less than twice as much.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "those who compete get CPU time as their weights",
                "kernel Documentation/scheduler/sched-design-CFS.rst; measured",
                _V1,
            ),
            Expected(
                ClaimVerdict.REFUTED,
                "the weights are 39 and 20, which is 1.95 to 1",
                _CONVERSION,
                _OLD,
            ),
            Expected(
                ClaimVerdict.REFUTED,
                "the weights are 100 and 59, which is 1.69 to 1",
                _CONVERSION,
                _NEW,
            ),
        ),
        by_hand=(
            f"docker run -d --name one --cpuset-cpus 0 --cpu-shares 1024 IMAGE {_LOOP}",
            f"docker run -d --name two --cpuset-cpus 0 --cpu-shares 512 IMAGE {_LOOP}",
            "docker stats --no-stream one two   # about 67 % and 33 %",
        ),
        story="On cgroup v1 the ratio is that of the shares, where both are kept to one CPU. On v2 "
        "the runtime turns shares into weights, not in proportion: 2 to 1 becomes 1.95 by the "
        "older formula and 1.69 by the newer. Over several CPUs it is rougher still (1.7 to 2.5 "
        "was measured), since whole threads are moved.",
        experiment=_two_to_one,
    ),
)
