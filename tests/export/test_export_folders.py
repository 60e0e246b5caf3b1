"""Where an export goes, what it never replaces, what it says when it is called wrongly."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lora_scripts.assemble.export import Exported, export_lines, export_run
from lora_scripts.errors import LoraScriptsError, ModelError, UsageError
from lora_scripts.export.folders import Written
from lora_scripts.export.layouts import LAYOUTS
from lora_scripts.export.verify import Check


def stand_in(monkeypatch: pytest.MonkeyPatch, ok: bool = True, **options: Any) -> None:
    """A layout function that writes one file and says whether it is right."""

    def write(source: Any, folder: Path, **given: Any) -> Written:
        if "error" in options:
            raise options["error"]
        (folder / "model").write_text(options.get("content", "new"))
        return Written([Check("same", ok, 0 if ok else 2, 1)], ["a note"], "Use it.\n")

    monkeypatch.setitem(LAYOUTS, "merged", write)


def test_the_folder_appears_whole_with_card_and_report(
    adapter_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    adapter = adapter_of()
    said: list[str] = []
    result = export_run(adapter, "merged", say=said.append)
    assert result.folder == adapter / "export" / "merged"
    assert sorted(p.name for p in result.folder.parent.iterdir()) == ["merged"]
    report = json.loads((result.folder / "export.json").read_text())
    assert report == result.report and report["ok"] and report["layout"] == "merged"
    assert report["checks"] == [{"name": "same", "ok": True, "value": 0, "bound": 1}]
    assert export_lines(result)[:2] == ["a note", "same: 0 (bound 1) ok"]
    assert "| same | 0 | 1 | ok |" in (result.folder / "README.md").read_text()
    assert any("no provenance.json" in line for line in said) and any("general ones" in line for line in said)


def test_a_failed_check_keeps_the_folder_under_another_name_and_the_earlier_one_as_it_was(
    adapter_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = adapter_of()
    stand_in(monkeypatch, content="old")
    export_run(adapter, "merged")
    stand_in(monkeypatch, ok=False)
    result = export_run(adapter, "merged", overwrite=True)
    assert result.folder == adapter / "export" / "merged.not_verified"
    assert (adapter / "export" / "merged" / "model").read_text() == "old"
    assert "same: 2 (bound 1) FAILED" in export_lines(result)
    assert not any("verified;" in line for line in export_lines(result))
    with pytest.raises(LoraScriptsError) as error:
        result.refuse_if_wrong()
    assert error.value.exit_code == 1
    stand_in(monkeypatch)
    export_run(adapter, "merged", overwrite=True)
    assert sorted(p.name for p in (adapter / "export").iterdir()) == ["merged"]
    assert (adapter / "export" / "merged" / "model").read_text() == "new"


def test_what_stands_there_is_replaced_only_if_asked_and_only_if_it_is_an_export(
    adapter_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in(monkeypatch)
    adapter = adapter_of()
    export_run(adapter, "merged")
    with pytest.raises(UsageError, match="something here already"):
        export_run(adapter, "merged")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("keep")
    with pytest.raises(UsageError, match="not made by export"):
        export_run(adapter, "merged", output=mine, overwrite=True)
    assert (mine / "thesis.txt").read_text() == "keep"


@pytest.mark.parametrize(
    ("layout", "options", "said"),
    [
        ("onnx", {}, "onnx is not a layout"),
        ("merged", {"dtype": "f16"}, "--dtype has no effect with --to merged"),
        ("gguf", {"also": ["other"]}, "joins picture adapters"),
        ("vllm", {"adapter_only": True}, "--adapter-only has no effect"),
        ("gguf", {"adapter_only": True, "dtype": "f16"}, "--dtype has no effect"),
    ],
)
def test_wrong_use_is_named_before_anything_is_read(
    layout: str, options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said) as error:
        export_run(tmp_path / "nothing", layout, **options)
    assert error.value.problems[0].fix


@pytest.mark.parametrize("layout", ["kohya", "diffusers"])
def test_a_layout_of_pictures_is_refused_for_texts_and_a_wrong_path_called_so(
    layout: str, adapter_of: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="picture adapters"):
        export_run(adapter_of(), layout)
    with pytest.raises(ModelError, match="there is no adapter"):
        export_run(tmp_path / "nothing", layout)


def test_an_adapter_that_names_no_base_asks_for_one(adapter_of: Callable[..., Path]) -> None:
    adapter = adapter_of()
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": None}))
    with pytest.raises(UsageError, match="which base model"):
        export_run(adapter, "merged")


def test_another_base_than_that_of_the_training_is_refused(
    adapter_of: Callable[..., Path], base_of: Callable[..., Path]
) -> None:
    adapter = adapter_of()
    record = {"base": {"path": str(base_of("llama")), "fingerprint": "sha256:other"}}
    (adapter / "provenance.json").write_text(json.dumps(record))
    with pytest.raises(ModelError, match="another base"):
        export_run(adapter, "merged")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_failing_disk_is_one_message_and_leaves_nothing(
    number: int, adapter_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, error=OSError(number, "said by the system"))
    adapter = adapter_of()
    with pytest.raises(LoraScriptsError):
        export_run(adapter, "merged")
    assert list((adapter / "export").iterdir()) == []


def test_a_report_with_a_failed_check_is_not_ok() -> None:
    wrong = Exported(Path("x"), {"checks": [{"name": "n", "ok": False}], "ok": False})
    with pytest.raises(LoraScriptsError, match="does not do what the adapter does: n"):
        wrong.refuse_if_wrong()
