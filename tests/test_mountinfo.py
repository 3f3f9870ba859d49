"""Lines of /proc/PID/mountinfo, as kernels write them."""

from __future__ import annotations

from pathlib import Path

from harness.mountinfo import parse

LINES = (
    b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
    b"40 36 0:35 / /a\\040b\\134c rw - tmpfs none rw,size=64k\n"
    b"41 36 0:36 / /proc/stat rw shared:2 propagate_from:1 - fuse.lxcfs lxcfs rw,user_id=0\n"
)


def test_optional_fields_are_none_some_or_many() -> None:
    assert [(one.device, one.kind, one.source) for one in parse(LINES)] == [
        ("98:0", "ext3", "/dev/root"),
        ("0:35", "tmpfs", "none"),
        ("0:36", "fuse.lxcfs", "lxcfs"),
    ]


def test_options_of_the_mount_and_of_its_file_system_are_apart() -> None:
    first = next(parse(LINES))
    assert (first.root, first.options) == ("/mnt1", ("rw", "noatime"))
    assert first.of_all == ("rw", "errors=continue")


def test_what_the_kernel_escapes_is_read_as_it_is() -> None:
    assert [one.point for one in parse(LINES)] == ["/mnt2", "/a b\\c", "/proc/stat"]


def test_a_path_may_hold_what_ends_a_line_elsewhere() -> None:
    (one,) = parse("40 36 0:35 / /a\x1cb\rc\u2028d rw - tmpfs none rw\n".encode())
    assert one.point == "/a\x1cb\rc\u2028d"


def test_what_is_no_line_is_none() -> None:
    assert list(parse(b"\n36 35 98:0 / /x rw\n36 35 98:0 / /x rw - ext4\n - \n")) == []


def test_this_process_has_a_root() -> None:
    text = Path("/proc/self/mountinfo").read_bytes()
    assert "/" in [one.point for one in parse(text)]
