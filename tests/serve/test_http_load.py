"""The bench of mixed load, for some seconds: nothing hangs, nothing is lost or wrong, all memory is back."""

from __future__ import annotations

import json
import sys

import pytest

from bench import serving_load


@pytest.mark.slow
def test_mixed_load_breaks_no_promise(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["serving_load.py", "--minutes", "0.1", "--clients", "12"])
    code = serving_load.main()
    out = capsys.readouterr().out
    found = json.loads(out.splitlines()[-1])
    assert code == 0, out
    assert found["answered"] > 20
    assert found["cut_by_us"] > 5
    assert found["corrupt_offered"] > 5
    assert found["refused"].keys() >= {"400", "404"}


def test_each_broken_promise_is_named() -> None:
    good: dict[str, float] = {"hung": 0, "lost": 0, "wrong": 0, "restarts": 0, "exit_code": 0}
    good |= {"open_answers": 0.0, "kv_free": 1.0, "answered": 9}
    assert serving_load.broken(good) == []
    for name, value in good.items():
        assert len(serving_load.broken(good | {name: 0 if name in ("answered", "kv_free") else value + 1})) == 1
