"""Claims about how a container ends."""

from __future__ import annotations

import contextlib
import time

from harness.claims.claim import Claim, Expected, Topic, When, decided
from harness.claims.typed import complaint, options, typed
from harness.engine.laboratory import WAIT_S, Box, Laboratory
from harness.errors import EngineRefusedError
from harness.model import ClaimVerdict, Finding

_ALWAYS = {"Name": "always"}
_QUIET_S = 1.0
"""The first restart comes 0.1 s after the end (moby restartmanager, defaultTimeout)."""
_DOCKER = When(engine="docker")


def _code_is_the_programs(lab: Laboratory) -> Finding:
    code = lab.run("exit", "7").exit_code
    return decided(code == 7, f"its program ended with 7, the container with {code}", code=code)


def _code_of(lab: Laboratory, program: str) -> int:
    """The exit code of a container whose program is that one."""
    box = lab.create(entrypoint=[program])
    with contextlib.suppress(EngineRefusedError):
        box.start().wait()
    return int(box.state["ExitCode"])


def _codes_of_no_program(lab: Laboratory) -> Finding:
    missing, not_to_run = _code_of(lab, "/missing"), _code_of(lab, "/etc/hostname")
    return decided(
        (missing, not_to_run) == (127, 126),
        f"exit code {missing} where the program is not there, {not_to_run} where the file may not "
        "be executed",
        missing=missing, not_executable=not_to_run,
    )  # fmt: skip


def _run_gives_the_programs(lab: Laboratory) -> Finding:
    words = options(lab, lab.name())
    ended = typed(lab, "run", *words, "--memory", "1", lab.hand, "exit", "0")
    why = complaint(ended)
    return decided(
        ended.exit_code == 0,
        f"docker run --memory 1 ended with {ended.exit_code}, its program would with 0"
        + (f" ({why})" if why else ""),
        exit_code=ended.exit_code,
    )  # fmt: skip


def _detached_goes_on(lab: Laboratory) -> Finding:
    box = lab.create("say", "done").start()
    try:
        code = box.wait(3.0).exit_code
    except TimeoutError:
        return decided(True, "3 s after its program had nothing more to do it still runs")
    return decided(
        False, f"it ended by itself, with exit code {code}, as its program did", exit_code=code
    )


def _came_back(box: Box) -> bool:
    """Whether the engine started it again by itself, once it had ended."""
    quiet_since = None
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        told = box.inspect()
        if int(told["RestartCount"]):
            return True
        if told["State"]["Status"] != "exited":
            quiet_since = None
        elif quiet_since is None:
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since >= _QUIET_S:
            return False
        time.sleep(0.02)
    raise TimeoutError("the container neither ended nor came back")


def _always_after_exit(lab: Laboratory) -> Finding:
    box = lab.create("exit", "0", restart_policy=_ALWAYS).start()
    back = _came_back(box)
    return decided(
        not back,
        "when its program had ended with 0, it "
        + ("was started again" if back else f"stayed as it was for {_QUIET_S:g} s"),
        came_back=back,
    )  # fmt: skip


def _always_after_stop(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60", restart_policy=_ALWAYS).start()
    box.stop(0)
    back = _came_back(box)
    return decided(
        back,
        "after docker stop it " + ("was started again" if back else
                                   f"stayed stopped for {_QUIET_S:g} s"),
        came_back=back,
    )  # fmt: skip


def _on_failure_after_kill(lab: Laboratory) -> Finding:
    """An end that an engine calls a failure, but for who asked for it."""
    box = lab.create("sleep", "60", restart_policy={"Name": "on-failure"}).start()
    box.kill()
    back = _came_back(box)
    return decided(
        back,
        f"after docker kill (exit code {box.state['ExitCode']}) it "
        + ("was started again" if back else f"stayed as it was for {_QUIET_S:g} s"),
        came_back=back,
    )  # fmt: skip


CLAIMS = (
    Claim(
        id="exit-code-is-the-programs",
        topic=Topic.STOP,
        sentence="The exit code of a container is that of its program.",
        korean="컨테이너의 종료 코드는 그 안에서 실행된 프로그램의 종료 코드이다.",
        refuted_by="A program ends with 7 and the container with another code.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the shim waits for PID 1 and tells what it came to",
                "moby daemon/monitor.go; docs.docker.com, docker run, exit status",
            ),
        ),
        by_hand=(
            "docker run --name box busybox sh -c 'exit 7'; echo $?",
            "docker inspect -f '{{.State.ExitCode}}' box",
        ),
        story="The container ends when its first process ends, and takes over its exit code. A "
        "program that a signal ended counts as 128 and the signal's number.",
        experiment=_code_is_the_programs,
    ),
    Claim(
        id="exit-127-is-not-found",
        topic=Topic.STOP,
        sentence="Exit code 127 means that the program was not found, 126 that it may not be run.",
        korean="종료 코드 127은 프로그램을 찾지 못했다는 뜻이고 126은 실행할 수 없다는 뜻이다.",
        refuted_by="A program that is not there, or a file that is not executable, gives another "
        "exit code.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the engine makes a shell's codes of the runtime's refusal",
                "moby daemon/errors.go (setExitCodeFromError); measured on 20.10",
                _DOCKER,
            ),
            Expected(
                ClaimVerdict.REFUTED,
                "it takes back a start that failed, and its inspect goes on telling 0",
                "measured on 4.3",
                When(engine="podman"),
            ),
        ),
        by_hand=(
            "docker run --rm busybox /missing; echo $?",
            "docker run --rm busybox /etc/hostname; echo $?",
        ),
        story="No program ran, so the code is the engine's: what a shell would say of such a "
        "command. A program may end with 127 as well, as a shell does whose command is missing.",
        experiment=_codes_of_no_program,
    ),
    Claim(
        id="run-gives-the-programs-code",
        topic=Topic.STOP,
        sentence="The exit code of docker run is always that of the program.",
        korean="docker run의 종료 코드는 항상 프로그램의 종료 코드이다.",
        refuted_by="docker run with an option that the engine refuses gives a code of its own.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "125 is what the docker command or the engine failed with",
                "docs.docker.com, docker run, exit status; measured",
                _DOCKER,
            ),
        ),
        by_hand=("docker run --rm --memory 1 busybox true; echo $?",),
        story="125 says that nothing was run: the option was wrong, the engine refused, the image "
        "was not to be had. Scripts that retry on any failure should not retry on that.",
        experiment=_run_gives_the_programs,
    ),
    Claim(
        id="detached-runs-until-stopped",
        topic=Topic.STOP,
        sentence="A container that was started with -d runs until somebody stops it.",
        korean="-d로 실행한 컨테이너는 누군가 멈출 때까지 계속 실행된다.",
        refuted_by="It ends by itself when its program has nothing more to do.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "a container lives as long as its PID 1, attached or not",
                "moby daemon/monitor.go; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name box busybox echo done",
            "sleep 1; docker ps -a --filter name=box",
        ),
        story="-d only means that the terminal is not attached. A program that ends at once, or "
        "one that puts itself into the background, ends the container. A service has to stay in "
        "the foreground.",
        experiment=_detached_goes_on,
    ),
    Claim(
        id="always-is-for-failures",
        topic=Topic.STOP,
        sentence="--restart always does not restart a program that ended well, with 0.",
        korean="--restart always는 종료 코드 0으로 정상 종료한 컨테이너는 다시 시작하지 않는다.",
        refuted_by="A program that ended with 0 is started again.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "always looks at no exit code; on-failure does",
                "moby restartmanager/restartmanager.go; measured on 20.10, and on Podman 4.3",
            ),
        ),
        by_hand=(
            "docker run -d --restart always --name box busybox true",
            "sleep 2",
            "docker inspect -f '{{.RestartCount}}' box; docker rm -f box",
        ),
        story="always means whatever the exit code, again and again, with pauses from 0.1 s on "
        "that double. For a job that is to end, on-failure is the policy.",
        experiment=_always_after_exit,
    ),
    Claim(
        id="always-comes-back-after-stop",
        topic=Topic.STOP,
        sentence="A container with --restart always comes back when it is stopped.",
        korean="--restart always 컨테이너는 docker stop으로 멈춰도 다시 시작된다.",
        refuted_by="After docker stop it stays stopped.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "what was stopped by hand stays so, until the engine itself is started anew",
                "moby restartmanager/restartmanager.go (ShouldRestart, hasBeenManuallyStopped); "
                "measured on 20.10, and on Podman 4.3",
            ),
        ),
        by_hand=(
            "docker run -d --restart always --name box busybox sleep 600",
            "docker stop -t 0 box",
            "sleep 2; docker inspect -f '{{.State.Status}}' box",
        ),
        story="The engine notes that somebody stopped it, and lets it be. It comes back when the "
        "engine is started again, which is what unless-stopped differs in: there it does not.",
        experiment=_always_after_stop,
    ),
    Claim(
        id="on-failure-comes-back-after-kill",
        topic=Topic.STOP,
        sentence="A container with --restart on-failure comes back after docker kill.",
        korean="--restart on-failure 컨테이너는 docker kill로 종료해도 다시 시작된다.",
        refuted_by="After docker kill, with exit code 137, it stays as it is.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "a kill by hand counts as a stop by hand, not as a failure",
                "moby daemon/kill.go (ExitOnNext); measured on 20.10, and on Podman 4.3",
            ),
        ),
        by_hand=(
            "docker run -d --restart on-failure --name box busybox sleep 600",
            "docker kill box",
            "sleep 2; docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' box",
        ),
        story="137 is no success, and yet nothing is restarted: somebody asked for it. To try a "
        "policy, kill the process past the engine: kill -9 of its pid on the host.",
        experiment=_on_failure_after_kill,
    ),
)
