"""What the kernel counts of each device, on v1 and v2."""

from __future__ import annotations

from harness.cgroup import V1, V2


def test_i_o_is_counted_device_by_device() -> None:
    sizes = b"7:0 Read 24576\n7:0 Write 1048576\n7:0 Total 1073152\n254:0 Read 0\nTotal 1073152\n"
    times = b"7:0 Read 6\n7:0 Write 64\n7:0 Total 70\n254:0 Read 0\nTotal 70\n"
    first, second = V1.device_files.parse([sizes, times])
    assert (first.number, first.read_bytes, first.write_bytes) == ("7:0", 24576, 1 << 20)
    assert (first.reads, first.writes) == (6, 64)
    assert (second.number, second.write_bytes) == ("254:0", 0)
    stat = b"8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0 cost.usage=7\n8:16\n\n"
    (only,) = V2.device_files.parse([stat])
    assert (only.number, only.read_bytes, only.write_bytes) == ("8:0", 4096, 8192)
    assert (only.reads, only.writes) == (1, 2)
    assert V1.device_files.parse([b"7:0 Read x\n", b""]) == ()
    assert V2.device_files.parse([b"8:0 rbytes=1\n"]) == ()
