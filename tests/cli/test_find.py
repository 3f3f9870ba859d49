"""`bench find` where it needs no engine: what cannot be asked, and what an old search tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Bench
from tests.command import one_line
from tests.fakes import World
from tests.runs import stored
from tests.searched import BURST, noisy, searched

ASKED = ("find", "cpus", "--goal", "cpus > 0.5", "--workload", "spin")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("find", "shares", "--goal", "cpus > 1", "--workload", "spin"), ("'shares'", "memory")),
        (("find", "cpus", "--workload", "spin"), ("--goal",)),
        (("find", "cpus", "--goal", "cpus > 1"), ("--workload",)),
        (("find", "cpus", "--goal", "cpus >> 1", "--workload", "spin"), ("cannot be read",)),
        (("find", "cpus", "--goal", "cpuz > 1", "--workload", "spin"), ("'cpuz'", "'cpus'")),
        (("find", "cpus", "--goal", "p99 < 5ms", "--workload", "spin"), ("p99", "burst")),
        (("find", "cpus", "--goal", "cpus > 1", "--workload", "spinn"), ("'spinn'",)),
        (("find", "cpus", "--goal", "cpus > 1", "--workload", "take"), ("until it is refused",)),
        (("find", "write-bps", "--goal", "cpus > 1", "--workload", "spin"), ("no disk", "io")),
        (
            ("find", "cpus", "--also", "read-iops", "--goal", "p99 < 5ms", "--workload", "nginx"),
            ("'nginx'", "no disk"),
        ),
        (
            ("find", "write-bps", "--also", "read-bps", "--goal", "p99 < 5ms", "--workload", "io"),
            ("reads or writes, and not both",),
        ),
        ((*ASKED, "--device", "/dev/sdb"), ("--device does nothing here",)),
        ((*ASKED, "--also", "cpus"), ("--also",)),
        ((*ASKED, "--target", "64m"), ("--target",)),
        ((*ASKED, "--confidence", "20%"), ("--confidence",)),
        ((*ASKED, "--budget", "soon"), ("'soon'", "10m")),
        ((*ASKED, "--resolution", "x%"), ("'x%' is not a percentage",)),
        ((*ASKED, "--resolution", "0%"), ("--resolution 0%", "out of range")),
        ((*ASKED, "--from", "few"), ("'few'",)),
        ((*ASKED, "--cpus", "0.5"), ("--cpus is what is sought",)),
        ((*ASKED, "--growth", "-5%"), ("--growth",)),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_needs_no_engine(
    bench: Bench, tmp_path: Path, args: tuple[str, ...], words: tuple[str, ...]
) -> None:
    one_line(bench(*args, cwd=tmp_path), 2, *words)


@pytest.mark.slow
def test_an_old_search_is_shown_with_its_answer_and_the_lines_to_paste(
    bench: Bench, tmp_path: Path
) -> None:
    searched(tmp_path / "results", "cpus > 0.5")
    shown = bench("show", cwd=tmp_path)
    assert shown.returncode == 0
    assert "0.504 CPUs (0.486 fails:" in shown.stdout
    assert "docker run --cpus 0.504" in shown.stdout
    assert 'cpus: "0.504"' in shown.stdout
    assert "cpu: 504m" in shown.stdout
    assert all(len(line) <= 80 for line in shown.stdout.splitlines())
    told = json.loads(bench("show", "--json", cwd=tmp_path).stdout)["found"]
    assert (told["ending"], told["chosen"]) == ("found", {"cpus": 0.504})
    assert told["limits"][0]["fails"] < 0.5 < told["limits"][0]["holds"]
    markdown = bench("report", "--format", "md", "--output", "-", cwd=tmp_path).stdout
    assert "**0.504 CPUs" in markdown
    assert "docker run --cpus 0.504" in markdown


@pytest.mark.slow
def test_the_page_and_the_figure_tell_the_answer(bench: Bench, tmp_path: Path) -> None:
    world = World(respond=noisy(0.03))
    run = searched(tmp_path / "results", "p99 < 60ms and no-kill", world=world, load=BURST)
    assert bench("report", cwd=tmp_path).returncode == 0
    page = (run.path / "report.html").read_text()
    assert 'id="found"' in page
    assert "docker run --cpus" in page
    drawn = bench("plot", "--output", "pictures", cwd=tmp_path)
    assert "needed.png: response_p99_s &lt; 60ms" in drawn.stdout.replace("<", "&lt;")
    assert (tmp_path / "pictures" / "needed.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_search_that_has_ended_has_nothing_to_resume(bench: Bench, tmp_path: Path) -> None:
    run = searched(tmp_path / "results", "cpus > 0.5")
    resumed = bench("resume", run.info.name, cwd=tmp_path)
    assert resumed.returncode == 0
    assert "nothing is left to do" in resumed.stderr


@pytest.mark.slow
def test_only_the_answer_of_a_search_can_be_checked_again(bench: Bench, tmp_path: Path) -> None:
    never = searched(tmp_path / "results", "cpus > 3").info.name
    swept = stored(tmp_path / "results").name
    for args, words in {
        (never,): ("came to no answer",),
        (swept,): ("looked for no limit",),
        (never, "--against", "x"): ("--against", "--found"),
        (never, "--github"): ("--github", "--found"),
    }.items():
        refused = bench("check", "--found", *args, cwd=tmp_path)
        assert refused.returncode == 2
        assert all(word in refused.stderr for word in words)
