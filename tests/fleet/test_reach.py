"""Who may listen where: loopback, TLS, or said out loud."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.fleet import reach
from harness.fleet.reach import Certificates

TLS = Certificates(Path("ca.pem"), Path("cert.pem"), Path("key.pem"))


@pytest.mark.parametrize(
    ("text", "tls", "address"),
    [
        ("127.0.0.1", None, "tcp://127.0.0.1:8786"),
        ("fleet.example:1", None, "tcp://fleet.example:1"),
        ("[::1]", None, "tcp://[::1]:8786"),
        ("[::1]:5", None, "tcp://[::1]:5"),
        ("fleet.example", TLS, "tls://fleet.example:8786"),
        ("tls://fleet.example:9", TLS, "tls://fleet.example:9"),
    ],
)
def test_an_address_as_people_write_it(text: str, tls: Certificates | None, address: str) -> None:
    assert reach.address(text, tls) == address


@pytest.mark.parametrize(
    ("text", "tls", "words"),
    [
        ("", None, "no address"),
        ("host:port", None, "no address"),
        ("host:99999", None, "no address"),
        ("http://host:1", None, "no address"),
        ("tls://host:1", None, "speaks TLS"),
        ("tcp://host:1", TLS, "does not speak TLS"),
    ],
)
def test_what_is_no_address_or_of_another_kind(
    text: str, tls: Certificates | None, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        reach.address(text, tls)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    assert reach.refuse_open(host, None, insecure=False) == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "fleet.example", ""])
def test_elsewhere_it_is_tls_or_said_out_loud(host: str) -> None:
    with pytest.raises(UsageError, match="--insecure"):
        reach.refuse_open(host, None, insecure=False)
    assert reach.refuse_open(host, None, insecure=True).startswith("INSECURE")
    assert reach.refuse_open(host, TLS, insecure=False) == ""


def test_a_worker_listens_no_further_than_its_scheduler() -> None:
    assert reach.listens_beside("tcp://127.0.0.1:8786") == "127.0.0.1"
    assert reach.listens_beside("tls://10.0.0.1:8786") == ""


def test_tls_takes_all_three_files_and_encrypts_every_connection(tmp_path: Path) -> None:
    file = tmp_path / "file.pem"
    file.touch()
    assert reach.certificates(None, None, None) is None
    with pytest.raises(UsageError, match="--tls-cert and --tls-key"):
        reach.certificates(file, None, None)
    with pytest.raises(UsageError, match="is no file"):
        reach.certificates(file, file, tmp_path / "missing")
    told = reach.security(reach.certificates(file, file, file))
    assert told.require_encryption
    for role in ("worker", "scheduler", "client"):
        assert getattr(told, f"tls_{role}_cert") == str(file)
    assert not reach.security(None).require_encryption
