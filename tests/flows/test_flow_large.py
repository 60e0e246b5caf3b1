"""Large sets: read again instead of held, rendered once and kept on the disk."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import command, digest, metrics, pairs, write_rows

import lora_scripts.assemble.text.records as records_room
import lora_scripts.assemble.text.survey as survey_room

MakeConfig = Callable[..., Path]


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Every set is large; returns the folder of the cache."""
    monkeypatch.setattr(survey_room, "LARGE", 5)
    monkeypatch.setenv("LORA_SCRIPTS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/documents"


@pytest.mark.parametrize(
    "more",
    [{}, pytest.param({"eval_data": "held_out"}, marks=pytest.mark.slow)],
    ids=["drawn validation", "validation of its own"],
)
def test_a_large_set_trains_the_same_bytes_and_reports_the_same(
    config: MakeConfig, large: Path, more: dict[str, str]
) -> None:
    rows = write_rows(Path("rows/a.txt"), [*pairs(), ("我" * 200 + "？", "请看第一条。"), pairs()[0]])
    write_rows(Path("held_out/a.txt"), [("仲裁要多久？", "四十五日。"), pairs()[1], ("调解收费吗？", "不收费。")])
    keys = {"train_data_dir": str(rows.parent), "max_seq_length": 70, "too_long": "drop", **more}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey_room, "LARGE", 20_000)
        assert command("train", config(output_dir="held", **keys)).code == 0
    said = command("train", config(output_dir="streamed", **keys))
    assert said.code == 0, said.words
    assert len(list(large.glob("*.arrow"))) == 2
    assert digest(Path("held/adapter_model.safetensors")) == digest(Path("streamed/adapter_model.safetensors"))
    assert metrics(Path("held")) == metrics(Path("streamed"))
    held, streamed = (json.loads(Path(f, "data_report.json").read_text("utf-8")) for f in ("held", "streamed"))
    assert held == streamed
    asked = {"asked_in_training": 1} if more else {}
    assert held["left_out"] == {"exact_duplicate": 1, "too_long": 1, **asked}


def test_a_second_start_takes_the_documents_from_the_disk_and_other_settings_do_not(
    config: MakeConfig, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = []
    real = records_room.iter_documents
    monkeypatch.setattr(records_room, "iter_documents", lambda *a, **k: rendered.append(k) or real(*a, **k))
    first = command("train", config(), "--dry-run")
    assert first.code == 0, first.words
    assert len(rendered) == 2
    second = command("train", config(), "--dry-run")
    assert len(rendered) == 2
    assert second.words.splitlines()[-8:] == first.words.splitlines()[-8:]
    command("train", config(max_seq_length=100), "--dry-run")
    assert len(rendered) == 4
    for entry in large.glob("*.arrow"):
        entry.write_bytes(entry.read_bytes()[:-100])
    mended = command("train", config(), "--dry-run")
    assert mended.code == 0, mended.words
    assert mended.words.count(".arrow") == 2, "both broken entries are named"
    assert len(rendered) == 6


def test_no_value_of_personal_data_is_in_the_cache(config: MakeConfig, large: Path) -> None:
    write_rows(Path("rows/a.txt"), [*pairs(), ("我的电话13800138000，能登记吗？", "可以登记。")])
    assert command("train", config(train_data_dir="rows", eval_ratio=0), "--dry-run").code == 0
    assert list(large.glob("*.arrow"))
    assert not [file for file in large.iterdir() if b"13800138000" in file.read_bytes()]


@pytest.mark.parametrize(
    "now", [pairs(0, 20), [*pairs(0, 23), ("换了吗？", "换了一条。")], [*pairs(), ("多了吗？", "多了。")]]
)
def test_files_that_change_between_two_readings_stop_the_run_and_leave_nothing_in_the_cache(
    config: MakeConfig, large: Path, monkeypatch: pytest.MonkeyPatch, now: list[tuple[str, str]]
) -> None:
    rows = write_rows(Path("rows/a.txt"), pairs())
    real = records_room.cache_key

    def change(**parts: object) -> str:
        write_rows(rows, now)
        return real(**parts)

    monkeypatch.setattr(records_room, "cache_key", change)
    said = command("train", config(train_data_dir="rows"), "--dry-run")
    assert said.code == 3, said.words
    assert "changed" in said.err
    assert not list(large.glob("*.arrow"))


@pytest.mark.slow
def test_memory_stays_flat_while_many_records_are_rendered(tmp_path: Path, config: MakeConfig) -> None:
    """Of each record some 600 bytes of hashes are held; its text and its ids, 3 kB as Python objects, are not."""
    script = """
import json, resource, sys
from pathlib import Path
from lora_scripts.assemble.text.records import render_rows
from lora_scripts.assemble.text.survey import rows_of, survey_for
from lora_scripts.config import load_config
from lora_scripts.models.text import load_tokenizer
config = load_config(Path(sys.argv[1])).config
rendered = render_rows(rows_of(survey_for(config)), load_tokenizer(config.base_model), config)
print(len(rendered.training), len(rendered.validation), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    seen = []
    for count in (25_000, 125_000):
        with (tmp_path / "big.jsonl").open("w", encoding="utf-8") as file:
            for i in range(count):
                row = {
                    "question": f"第{i}个问题怎么办？",
                    "answer": f"依据第{i % 977}条，" + "应当在三十日内办理。" * 6,
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        words = [sys.executable, "-c", script, str(config(train_data_dir=str(tmp_path / "big.jsonl")))]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        trained, validated, peak_mb = done.stdout.split()
        assert int(trained) + int(validated) == count
        seen.append(float(peak_mb))
    assert seen[1] - seen[0] < 100_000 * 1000 / 2**20
