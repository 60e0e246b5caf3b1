"""``export`` on a finished run, through the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from calling import SAMPLE, command, refused
from greedy import greedy
from transformers import AutoModelForCausalLM, AutoTokenizer


def test_a_run_is_exported_merged_and_answers_as_chat_does(run_copy: Path) -> None:
    said = command("export", run_copy, "--to", "merged")
    assert said.code == 0, said.words
    assert "largest_difference_of_a_logit" in said.out and "verified; the export is in" in said.out
    folder = run_copy / "export" / "merged"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    asked = [{"role": "user", "content": SAMPLE}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True)["input_ids"]
    tokens, sure = greedy(AutoModelForCausalLM.from_pretrained(folder), prompt, 12)
    chatted = command("chat", "--adapter", run_copy, "--prompt", SAMPLE, "--max-new-tokens", "12")
    stock = tokenizer.decode(tokens[:sure], skip_special_tokens=True).strip()
    assert stock and chatted.out.strip()[: len(stock)] == stock
    if sure == len(tokens):  # what was trained here may hang on a processor's last bits from some token on
        assert chatted.out.strip() == stock
    report = json.loads((folder / "export.json").read_text())
    record = json.loads((run_copy / "provenance.json").read_text())
    assert report["adapter"]["weights_sha256"] == record["weights_sha256"]
    assert report["base"]["fingerprint"] == record["base"]["fingerprint"]
    assert str(record["result"]["validation loss"]) in (folder / "README.md").read_text()
    refused(command("export", run_copy, "--to", "merged"), 2, "something here already", "--overwrite")
    assert command("export", run_copy, "--to", "merged", "--overwrite").code == 0


def test_a_run_is_exported_as_gguf_with_its_sample_questions(run_copy: Path) -> None:
    said = command("export", run_copy, "--to", "gguf", "--output", run_copy / "file")
    assert said.code == 0, said.words
    assert "prompts_with_other_ids: 0" in said.out
    assert (run_copy / "file" / "out.gguf").is_file()


def test_a_run_whose_base_is_gone_says_so(run_copy: Path, tmp_path: Path) -> None:
    record = json.loads((run_copy / "provenance.json").read_text())
    moved = shutil.copytree(record["base"]["path"], tmp_path / "moved")
    record["base"]["path"] = str(tmp_path / "gone")
    (run_copy / "provenance.json").write_text(json.dumps(record))
    refused(command("export", run_copy, "--to", "peft"), 2, "gone")
    record["config"]["quantization"] = "nf4"
    (run_copy / "provenance.json").write_text(json.dumps(record))
    said = command("export", run_copy, "--to", "peft", "--base-model", moved)
    assert said.code == 0 and "trained on a base in nf4 and is exported for the unquantised one" in said.out


def test_layouts_of_pictures_are_refused_for_a_text_run(run_copy: Path) -> None:
    for layout in ("kohya", "diffusers"):
        refused(command("export", run_copy, "--to", layout), 2, "picture adapters", "merged, peft, gguf")
