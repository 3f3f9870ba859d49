"""Claims about ending a container at once: docker kill, docker rm -f."""

from __future__ import annotations

import contextlib

from harness.claims.claim import Claim, Expected, NotExercisableError, Topic, When, decided
from harness.claims.signals import goes_on, heeding, signals
from harness.engine.laboratory import Laboratory
from harness.errors import EngineRefusedError
from harness.model import ClaimVerdict, Finding

_DOCKER = When(engine="docker")


def _kill_runs_no_handler(lab: Laboratory) -> Finding:
    box = heeding(lab)
    box.kill()
    ended = box.wait()
    heard = "got signal" in ended.output
    return decided(
        ended.exit_code == 137 and not heard,
        f"its handler {'ran' if heard else 'did not run'}; exit code {ended.exit_code}",
        handler_ran=heard, exit_code=ended.exit_code,
    )  # fmt: skip


def _kill_is_137(lab: Laboratory) -> Finding:
    codes = {}
    for signal in ("SIGTERM", "SIGUSR1"):
        box = heeding(lab)
        box.kill(signal)
        codes[signal] = box.wait().exit_code
    told = ", ".join(f"{code} after docker kill -s {signal}" for signal, code in codes.items())
    return decided(set(codes.values()) == {137}, f"exit code {told}", **codes)


def _kill_term_is_stop(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60", stop_timeout_s=1).start()
    box.kill("SIGTERM")
    went_on = goes_on(box, 1.5)
    return decided(
        not went_on,
        "1.5 s after docker kill -s SIGTERM, with a grace time of 1 s, it "
        + ("still runs: no SIGKILL followed" if went_on else "has been killed"),
        still_runs=went_on,
    )  # fmt: skip


def _killed_for_good(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60").start()
    first = box.pid
    box.kill()
    with contextlib.suppress(EngineRefusedError):
        box.wait()
    try:
        second = box.start().pid
    except EngineRefusedError as error:
        return decided(True, f"docker start was refused: {error.message}")
    return decided(
        second == 0,
        f"docker start started it again, as process {second} where it had been {first}",
        pid_before=first, pid_after=second,
    )  # fmt: skip


def _rm_f_is_gentle(lab: Laboratory) -> Finding:
    box = heeding(lab)
    box.remove(force=True)
    sent = [number for number, _ in signals(box)]
    if not sent:
        raise NotExercisableError("the engine's events do not tell of a signal")
    return decided(
        15 in sent, f"before it was removed, the engine sent signal {', '.join(map(str, sent))}",
        first_signal=sent[0], signals=len(sent),
    )  # fmt: skip


_STOP = "moby daemon/stop.go (containerStop)"
_KILL = "moby daemon/kill.go"
_PID_1 = "man 7 pid_namespaces; kernel/signal.c (sig_task_ignored)"
CLAIMS = (
    Claim(
        id="kill-runs-no-handler",
        topic=Topic.STOP,
        sentence="docker kill gives a program no chance to clean up.",
        korean="docker kill은 프로그램에 정리할 기회를 주지 않는다.",
        refuted_by="A handler of the program runs, or the exit code is not 137.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "its signal is SIGKILL, which nothing can handle",
                f"{_KILL}; man 7 signal",
            ),
        ),
        by_hand=(
            "docker run -d --name box busybox sh -c 'trap \"echo bye\" TERM; sleep 60 & wait'",
            "docker kill box; docker logs box; docker inspect -f '{{.State.ExitCode}}' box",
        ),
        story="docker kill sends SIGKILL, at once and with no grace time. The kernel ends the "
        "process; no handler runs, no buffer is written.",
        experiment=_kill_runs_no_handler,
    ),
    Claim(
        id="kill-gives-137",
        topic=Topic.STOP,
        sentence="docker kill always ends a container abnormally, with exit code 137.",
        korean="docker kill은 항상 컨테이너를 비정상 종료하며 종료 코드는 137이다.",
        refuted_by="docker kill -s with another signal ends it with another exit code.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "-s sends any signal, and a program may handle it",
                f"{_KILL}; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name box busybox sh -c 'trap \"exit 7\" USR1; sleep 60 & wait'",
            "docker kill -s USR1 box; docker inspect -f '{{.State.ExitCode}}' box",
        ),
        story="docker kill is the kill of the shell: SIGKILL is only its default. -s HUP makes "
        "many a server read its settings again, and ends nothing at all.",
        experiment=_kill_is_137,
    ),
    Claim(
        id="kill-sigterm-is-stop",
        topic=Topic.STOP,
        sentence="docker kill -s SIGTERM does the same as docker stop.",
        korean="docker kill -s SIGTERM은 docker stop과 같다.",
        refuted_by="A program that takes no notice of SIGTERM runs on when the grace time is over.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "kill sends one signal and is done", f"{_KILL}; measured"
            ),
        ),
        by_hand=(
            "docker run -d --stop-timeout 1 --name box busybox sleep 60",
            "docker kill -s TERM box; sleep 2; docker inspect -f '{{.State.Status}}' box",
        ),
        story="Both send SIGTERM. But stop waits and sends SIGKILL in the end, where kill does "
        "nothing more: what does not heed the signal runs on.",
        experiment=_kill_term_is_stop,
    ),
    Claim(
        id="killed-is-gone-for-good",
        topic=Topic.STOP,
        sentence="A container that was killed cannot be started again.",
        korean="docker kill로 종료한 컨테이너는 다시 시작할 수 없다.",
        refuted_by="docker start starts it again.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "only its process is gone; the container is there",
                f"{_KILL}; measured",
            ),
        ),
        by_hand=("docker run -d --name box busybox sleep 60", "docker kill box; docker start box"),
        story="Kill ends the process. Its writable layer, its settings and its logs stay, as after "
        "stop, and start makes a new process of them. Only rm, or --rm, takes the container away.",
        experiment=_killed_for_good,
    ),
    Claim(
        id="rm-force-stops-gently",
        topic=Topic.STOP,
        sentence="docker rm -f stops a container as docker stop does, and then removes it.",
        korean="docker rm -f는 docker stop처럼 컨테이너를 멈춘 뒤 삭제한다.",
        refuted_by="The only signal that is sent is SIGKILL.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "it kills: no SIGTERM, no grace time",
                "moby daemon/delete.go (cleanupContainer); measured",
                _DOCKER,
            ),
            Expected(
                ClaimVerdict.HOLDS,
                "its rm -f stops, with the grace time",
                "podman-rm(1), --force and --time",
                When(engine="podman"),
            ),
        ),
        by_hand=(
            "docker run -d --name box busybox sh -c 'trap \"echo bye\" TERM; sleep 60 & wait'",
            "docker logs -f box & sleep 1; docker rm -f box; wait",
        ),
        story="rm -f is kill and rm in one: the program is not asked. A database that is removed "
        "so has a recovery to make at its next start. Stop it first.",
        experiment=_rm_f_is_gentle,
    ),
)
