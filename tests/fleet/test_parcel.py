"""What travels back: the same run there and here, and nothing that is no run."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from harness.errors import ResultsError
from harness.fleet import parcel
from harness.model import Reply
from harness.plan.axes import Options
from harness.store import fleets, runs
from tests.runs import stored

REPLY = Reply(host="one", run="20261125-101500-cpu", code=0, reason="", attempts=1)
SHORT = Options(values="0.5", repeats=1, duration_s=0.5, cadence_hz=4.0)


def tar(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, reply: bool = True) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as made:
        said = [("reply.json", fleets.reply_text(REPLY))] if reply else []
        for name, content in (*said, *members):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if name != "reply.json":
                member.type, member.linkname = kind, "/etc/passwd"
            made.addfile(member, io.BytesIO(content))
    return out.getvalue()


def test_a_run_is_the_same_where_it_arrives_and_arrives_once(tmp_path: Path) -> None:
    run = stored(tmp_path / "there", options=SHORT)
    reply = Reply(host="one", run=run.name, code=0, reason="", attempts=2)
    packed = parcel.pack(reply, run)
    assert packed == parcel.pack(reply, run)
    root = tmp_path / "here"
    root.mkdir()
    told, arrived = parcel.unpack(packed, root, "one")
    assert told == reply
    assert arrived == root / f"{run.name}-one"
    assert {one.name: one.read_bytes() for one in run.iterdir() if one.is_file()} == {
        one.name: one.read_bytes() for one in arrived.iterdir()
    }
    assert runs.load(arrived).trials == runs.load(run).trials
    assert parcel.unpack(packed, root, "one") == (told, arrived)
    assert [one.name for one in root.iterdir()] == [arrived.name]


def test_another_run_of_that_name_gets_a_name_of_its_own(tmp_path: Path) -> None:
    for number, seed in enumerate((1, 2), start=1):
        there = tmp_path / f"there{seed}"
        run = stored(there, options=SHORT).rename(there / "run")
        text = (run / "run.json").read_bytes()
        (run / "run.json").write_bytes(text.replace(b'"created": "20', b'"created": "2%d' % seed))
        root = tmp_path / "here"
        root.mkdir(exist_ok=True)
        reply = Reply(host="one", run="run", code=0, reason="", attempts=1)
        _, arrived = parcel.unpack(parcel.pack(reply, run), root, "one")
        assert arrived == root / ("run-one" if number == 1 else "run-one-2")


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "run/../../x", "run", "run//x", "run/.hidden", "run/a/b/c", "elsewhere/x",
     "run/a\nb", "run/" + "x" * 200],
)  # fmt: skip
def test_a_file_that_no_run_has_is_not_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(ResultsError, match="no run has a file"):
        parcel.unpack(tar((name, b"x")), tmp_path, "one")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE]
)
def test_nothing_but_a_plain_file_is_taken(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(ResultsError, match="is no file"):
        parcel.unpack(tar(("run/run.json", b""), kind=kind), tmp_path, "one")
    assert list(tmp_path.iterdir()) == []


def test_what_unpacks_to_more_than_any_run_is_refused_before_it_is_written(tmp_path: Path) -> None:
    # A header that says two gigabytes, of which none follow.
    member = tarfile.TarInfo("run/samples.parquet")
    member.size = 2 << 30
    bomb = gzip.compress(gzip.decompress(tar())[:1024] + member.tobuf())
    with pytest.raises(ResultsError, match="larger than any run"):
        parcel.unpack(bomb, tmp_path, "one")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", [0, 1, 20, 60, -1, -9])
def test_what_is_cut_off_or_no_archive_is_told_in_a_line(tmp_path: Path, cut: int) -> None:
    run = stored(tmp_path / "there", options=SHORT)
    whole = parcel.pack(Reply(host="one", run=run.name, code=0, reason="", attempts=1), run)
    root = tmp_path / "here"
    root.mkdir()
    for data in (whole[:cut], b"\0" * 600, b"{}", tar(reply=False)):
        with pytest.raises(ResultsError, match=r"^what one sent"):
            parcel.unpack(data, root, "one")
    assert list(root.iterdir()) == []


def test_a_folder_that_is_no_run_and_anothers_reply_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="is damaged"):
        parcel.unpack(tar(("run/run.json", b"{")), tmp_path, "one")
    with pytest.raises(ResultsError, match="is of 'one'"):
        parcel.unpack(tar(), tmp_path, "two")
    assert list(tmp_path.iterdir()) == []
