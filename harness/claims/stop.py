"""Claims about docker stop."""

from __future__ import annotations

from harness.claims.claim import Claim, Expected, NotExercisableError, Topic, When, decided
from harness.claims.signals import goes_on, heeding, signals
from harness.engine.laboratory import Box, Laboratory
from harness.errors import EngineRefusedError
from harness.model import ClaimVerdict, Finding

_DOCKER = When(engine="docker")


def _grace_s(box: Box) -> float:
    """Between the two signals of a stop, by the engine's own clock."""
    sent = signals(box)
    if len(sent) != 2:
        raise NotExercisableError(f"the engine tells of {len(sent)} signals, not of two")
    return sent[1][1] - sent[0][1]


def _stop_asks_first(lab: Laboratory) -> Finding:
    box = heeding(lab)
    took_s = box.stop(10)
    ended = box.wait()
    heard = "got signal 15" in ended.output
    return decided(
        heard,
        f"its handler {'saw SIGTERM' if heard else 'saw no SIGTERM'}, and it ended with exit code "
        f"{ended.exit_code} {took_s:.1f} s after docker stop",
        handler_ran=heard, exit_code=ended.exit_code, took_s=took_s,
    )  # fmt: skip


def _stop_then_kills(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60").start()
    took_s = box.stop(1)
    state = box.state
    code = None if state["Running"] else int(state["ExitCode"])
    came_to = "it still ran" if code is None else f"it was gone, with exit code {code}"
    return decided(
        code == 137 and took_s >= 1,
        f"with a grace time of 1 s docker stop took {took_s:.1f} s; then {came_to}",
        took_s=took_s, exit_code=code,
    )  # fmt: skip


def _default_grace(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60").start()
    box.stop()
    grace_s = _grace_s(box)
    return decided(
        int(grace_s) == 10, f"SIGKILL followed {grace_s:.2f} s after SIGTERM", grace_s=grace_s
    )


def _sigterm_ends(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60").start()
    box.kill("SIGTERM")
    went_on = goes_on(box, 0.5)
    state = box.state
    return decided(
        not went_on,
        "0.5 s after SIGTERM a program with no handler "
        + ("still runs" if went_on else f"has ended with exit code {state['ExitCode']}"),
        still_runs=went_on,
    )  # fmt: skip


def _init_ends_it(lab: Laboratory) -> Finding:
    try:
        box = lab.create("sleep", "60", init=True).start()
    except EngineRefusedError as error:
        if "init" not in error.message:
            raise
        raise NotExercisableError(
            "the engine has no init program: it takes docker-init (tini) on its PATH"
        ) from None
    took_s = box.stop(1)
    code = box.wait().exit_code
    return decided(
        code == 143,
        f"it ended {took_s:.1f} s after docker stop, with exit code {code} "
        f"({'SIGTERM' if code == 143 else 'not SIGTERM'} ended it)",
        took_s=took_s, exit_code=code,
    )  # fmt: skip


def _stop_is_137(lab: Laboratory) -> Finding:
    codes: list[int] = []
    for box in (heeding(lab, "0"), heeding(lab), lab.create("sleep", "60").start()):
        box.stop(0 if len(codes) == 2 else 10)
        codes.append(box.wait().exit_code)
    well, by_signal, none = codes
    return decided(
        set(codes) == {137},
        f"exit code {well} with a handler that ends well, {by_signal} with one that ends as by "
        f"the signal, {none} with no handler",
        handler=well, handler_by_signal=by_signal, no_handler=none,
    )  # fmt: skip


def _stop_signal(lab: Laboratory) -> Finding:
    box = heeding(lab, stop_signal="SIGUSR1")
    box.stop(10)
    output = box.wait().output
    own, usual = "got signal 10" in output, "got signal 15" in output
    got = "SIGUSR1" if own else "SIGTERM" if usual else "no signal"
    return decided(own and not usual, f"its handler saw {got}", got=got)


def _stop_timeout(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60", stop_timeout_s=1).start()
    box.stop()
    grace_s = _grace_s(box)
    return decided(
        int(grace_s) == 1,
        f"with --stop-timeout 1, SIGKILL followed {grace_s:.2f} s after SIGTERM", grace_s=grace_s,
    )  # fmt: skip


def _stop_of_paused(lab: Laboratory) -> Finding:
    box = heeding(lab)
    box.pause()
    try:
        took_s = box.stop(10)
    except EngineRefusedError as error:
        return decided(True, f"docker stop was refused: {error.message}")
    ended = box.wait()
    heard = "got signal 15" in ended.output
    return decided(
        False,
        f"docker stop ended it in {took_s:.1f} s with exit code {ended.exit_code}; its handler "
        f"{'ran' if heard else 'did not run'}",
        took_s=took_s, exit_code=ended.exit_code, handler_ran=heard,
    )  # fmt: skip


_STOP = "moby daemon/stop.go (containerStop)"
_KILL = "moby daemon/kill.go"
_PID_1 = "man 7 pid_namespaces; kernel/signal.c (sig_task_ignored)"
CLAIMS = (
    Claim(
        id="stop-asks-first",
        topic=Topic.STOP,
        sentence="docker stop first sends SIGTERM, so that a program can clean up.",
        korean="docker stop은 먼저 SIGTERM을 보내 프로그램이 정리하고 종료할 수 있게 한다.",
        refuted_by="A program that handles SIGTERM gets none.",
        expected=(
            Expected(ClaimVerdict.HOLDS, "the stop signal is sent before the wait begins", _STOP),
        ),
        by_hand=(
            "docker run -d --name box busybox sh -c 'trap \"echo bye\" TERM; sleep 60 & wait'",
            "docker stop box; docker logs box",
        ),
        story="docker stop asks: SIGTERM to the first process of the container. Databases write "
        "their buffers, servers finish their requests. Only PID 1 is asked; a shell as PID 1 does "
        "not pass the signal on by itself.",
        experiment=_stop_asks_first,
    ),
    Claim(
        id="stop-kills-after-the-grace-time",
        topic=Topic.STOP,
        sentence="What does not end within the grace time of docker stop is ended by SIGKILL.",
        korean="docker stop의 유예 시간 안에 끝나지 않는 컨테이너는 SIGKILL로 종료된다.",
        refuted_by="A program that takes no notice of SIGTERM still runs after docker stop -t 1, "
        "or is gone before that second is over.",
        expected=(
            Expected(ClaimVerdict.HOLDS, "a stop that was not heeded ends in a kill", _STOP),
        ),
        by_hand=(
            "docker run -d --name box busybox sleep 60",
            "time docker stop -t 1 box; docker inspect -f '{{.State.ExitCode}}' box",
        ),
        story="The engine waits for the grace time, no longer, and then sends SIGKILL, which "
        "nothing can handle. The exit code is then 137, which is 128 and the 9 of SIGKILL.",
        experiment=_stop_then_kills,
    ),
    Claim(
        id="stop-waits-ten-seconds",
        topic=Topic.STOP,
        sentence="Unless told otherwise, docker stop waits 10 seconds before it kills.",
        korean="docker stop은 기본적으로 10초를 기다린 뒤 강제로 종료한다.",
        refuted_by="Between SIGTERM and SIGKILL lie other than 10 whole seconds.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the engine's default on Linux",
                "moby container/container.go (defaultStopTimeout); measured",
                _DOCKER,
            ),
            Expected(
                ClaimVerdict.HOLDS,
                "its default too",
                "containers.conf(5), stop_timeout",
                When(engine="podman"),
            ),
        ),
        by_hand=("docker run -d --name box busybox sleep 60", "time docker stop box"),
        story="Ten seconds is the default on Linux. A plain sleep as PID 1 does not heed SIGTERM "
        "and so costs all of them, each time. -t and --stop-timeout change it.",
        experiment=_default_grace,
    ),
    Claim(
        id="sigterm-ends-any-program",
        topic=Topic.STOP,
        sentence="SIGTERM ends a program that does not handle it, in a container as anywhere.",
        korean="SIGTERM을 처리하지 않는 프로그램도 컨테이너 안에서 SIGTERM을 받으면 종료된다.",
        refuted_by="As PID 1 of a container, a program without a handler still runs after SIGTERM.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "the kernel drops signals of default action that are sent to a namespace's PID 1",
                _PID_1,
            ),
        ),
        by_hand=(
            "docker run -d --name box busybox sleep 60",
            "docker kill -s TERM box; docker inspect -f '{{.State.Status}}' box",
        ),
        story="The first process of a pid namespace is its init. The kernel protects it: a signal "
        "whose action is the default one never reaches it, but for SIGKILL and SIGSTOP from "
        "outside. So sleep, which dies of SIGTERM anywhere else, does not as PID 1. Handle "
        "SIGTERM, or use --init.",
        experiment=_sigterm_ends,
    ),
    Claim(
        id="init-passes-signals-on",
        topic=Topic.STOP,
        sentence="With --init, SIGTERM ends a program that does not handle it.",
        korean="--init을 쓰면 SIGTERM을 처리하지 않는 프로그램도 SIGTERM으로 종료된다.",
        refuted_by="With --init a program without a handler is ended by SIGKILL.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "PID 1 is then a small init that passes signals on to it",
                "docs.docker.com, docker run --init; tini; measured",
            ),
        ),
        by_hand=("docker run -d --init --name box busybox sleep 60", "time docker stop box"),
        story="With --init, docker-init (tini) is PID 1 and the program its child. It handles "
        "signals by passing them on, and as PID 2 the program is protected from none. It also "
        "reaps what orphans leave behind.",
        experiment=_init_ends_it,
    ),
    Claim(
        id="stop-gives-137",
        topic=Topic.STOP,
        sentence="A container that was stopped by docker stop has exit code 137.",
        korean="docker stop으로 멈춘 컨테이너의 종료 코드는 137이다.",
        refuted_by="A program that handles SIGTERM ends with another exit code.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "the exit code is what the program makes of the signal",
                f"{_STOP}; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name box busybox sh -c 'trap \"exit 0\" TERM; sleep 60 & wait'",
            "docker stop box; docker inspect -f '{{.State.ExitCode}}' box",
        ),
        story="0 where a handler ends well, 143 (128 + 15) where the program ends as SIGTERM has "
        "it, 137 (128 + 9) only where the grace time was over and SIGKILL came.",
        experiment=_stop_is_137,
    ),
    Claim(
        id="stop-signal-is-sent",
        topic=Topic.STOP,
        sentence="docker stop sends the signal that --stop-signal names.",
        korean="docker stop은 --stop-signal로 지정한 시그널을 보낸다.",
        refuted_by="The program sees another signal than the one named, or none.",
        expected=(Expected(ClaimVerdict.HOLDS, "it takes the place of SIGTERM", _STOP),),
        by_hand=(
            "docker create --stop-signal USR1 --name box busybox \\",
            "    sh -c 'trap \"exit 7\" USR1; sleep 60 & wait'",
            "docker start box; docker stop box; docker inspect -f '{{.State.ExitCode}}' box",
        ),
        story="Some programs end gracefully by another signal, as nginx by SIGQUIT. --stop-signal, "
        "or STOPSIGNAL in the image, names it; SIGKILL follows all the same.",
        experiment=_stop_signal,
    ),
    Claim(
        id="stop-timeout-is-the-grace-time",
        topic=Topic.STOP,
        sentence="--stop-timeout sets how long docker stop waits before it kills.",
        korean="--stop-timeout은 docker stop이 강제 종료 전에 기다리는 시간을 정한다.",
        refuted_by="With --stop-timeout 1, other than 1 whole second lies between the signals.",
        expected=(Expected(ClaimVerdict.HOLDS, "it is the container's own default", _STOP),),
        by_hand=(
            "docker run -d --stop-timeout 1 --name box busybox sleep 60",
            "time docker stop box",
        ),
        story="The container carries its grace time with it, for every stop and restart that names "
        "none. docker stop -t goes before it.",
        experiment=_stop_timeout,
    ),
    Claim(
        id="paused-cannot-be-stopped",
        topic=Topic.STOP,
        sentence="A paused container has to be unpaused before it can be stopped.",
        korean="일시 정지(pause)된 컨테이너는 unpause해야만 stop할 수 있다.",
        refuted_by="docker stop ends a paused container.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "the engine sends the signal and thaws the container, which then gets it",
                "moby daemon/kill.go (killWithSignal: unpause); measured on 20.10",
                _DOCKER,
            ),
            Expected(
                ClaimVerdict.HOLDS,
                "it refuses: 'container state improper'",
                "measured on 4.3",
                When(engine="podman"),
            ),
        ),
        by_hand=(
            "docker run -d --name box busybox sh -c 'trap \"echo bye\" TERM; sleep 60 & wait'",
            "docker pause box; docker stop box; docker logs box",
        ),
        story="A frozen process cannot handle a signal; it waits for it. Docker knows, sends the "
        "signal and thaws the container at once: its events show kill, unpause, die. The handler "
        "runs as ever. Very old engines refused.",
        experiment=_stop_of_paused,
    ),
)
