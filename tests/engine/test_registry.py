"""The registry that experiments run: it answers, tells what was fetched, and leaves nothing."""

from __future__ import annotations

import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from harness.engine.registry import installed, registry
from harness.errors import EngineError

NEEDED = pytest.mark.skipif(not installed(), reason="docker-registry is not installed")


def answer(url: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as told:
            return int(told.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@NEEDED
def test_it_answers_tells_what_was_fetched_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    blob = f"sha256:{'0' * 64}"
    with registry() as there:
        assert len(list(tmp_path.iterdir())) == 1
        assert answer(f"http://{there.address}/v2/") == 200
        assert (there.fetched(), answer(f"http://{there.address}/v2/a/blobs/{blob}")) == ([], 404)
        assert there.asked()
        assert there.fetched() == [blob]
        with pytest.raises(EngineError, match=r"refused a/manifests/1"):
            there.layers("a", "1")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(urllib.error.URLError):
        answer(f"http://{there.address}/v2/")


def test_without_one_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not installed()
    with pytest.raises(EngineError, match="apt-get install docker-registry"), registry():
        pass
