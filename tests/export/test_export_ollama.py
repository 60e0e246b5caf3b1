"""The Go template spells what training spelled; the Modelfile says the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_scripts.data.chat_format import Strings
from lora_scripts.errors import ModelError
from lora_scripts.export import ollama
from lora_scripts.export.go_template import execute, template_of_strings
from lora_scripts.models.text import base_fingerprint

pieces = st.text(alphabet=st.sampled_from('<|>{}"\\\n im_end用户：`$-'), max_size=12)
words = st.text(alphabet=st.sampled_from('ab 你好{}"\\\n'), min_size=1, max_size=8)
strings = st.builds(
    Strings, opening=pieces, system=st.tuples(pieces, pieces), ask=pieces, lead=pieces, close=pieces, next=pieces
)


@given(strings, st.one_of(st.just(""), words), st.lists(st.tuples(words, words), max_size=3), words)
def test_the_template_spells_every_conversation_as_training_does(
    form: Strings, system: str, turns: list[tuple[str, str]], question: str
) -> None:
    messages = [{"role": "system", "content": system}] if system else []
    for asked, answered in turns:
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    messages.append({"role": "user", "content": question})
    template = template_of_strings(form)
    assert '"""' not in template  # it would end the template in a Modelfile
    spelled = form.spell(system, [*turns, (question, None)])
    assert execute(template, messages) == "".join(part for _, part in spelled)


def test_what_this_does_not_execute_is_refused() -> None:
    form = Strings("<u>", ("<s>", "</s>"), "<a>", "", "</a>", "</a><u>")
    for broken in ("x" + template_of_strings(form), template_of_strings(form).replace(".Content", ".System")):
        with pytest.raises(ValueError):
            execute(broken, [{"role": "user", "content": "?"}])


def test_the_modelfile_names_the_files_beside_it(adapter_of: Callable[..., Path], exported: Any) -> None:
    result, values = exported(adapter_of("llama"), "ollama")
    body = (result.folder / "Modelfile").read_text()
    said = {name: re.findall(rf"^{name} (.*)$", body, re.MULTILINE) for name in ("FROM", "PARAMETER", "ADAPTER")}
    assert said["FROM"] == ["./adapter.gguf"] and (result.folder / "adapter.gguf").is_file()
    assert said["ADAPTER"] == []
    assert sorted(said["PARAMETER"]) == [
        "num_ctx 512", "repeat_penalty 1", 'stop "<|endoftext|>"', 'stop "<|im_end|>"', "temperature 0"
    ]  # fmt: skip
    assert values["templates_that_spell_otherwise"] == 0
    assert "ollama create adapter" in (result.folder / "README.md").read_text()


def test_the_bos_token_is_left_to_ollama_which_adds_it(adapter_of: Callable[..., Path], exported: Any) -> None:
    result, _ = exported(adapter_of("gemma3"), "ollama")
    body = (result.folder / "Modelfile").read_text()
    assert "<bos>" not in body and "<start_of_turn>user" in body


def test_a_template_that_spells_otherwise_is_not_called_done(
    adapter_of: Callable[..., Path], exported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        ollama, "template_of_strings", lambda form, bos: template_of_strings(form, bos).replace("user", "usr")
    )
    with pytest.raises(Exception, match="templates_that_spell_otherwise"):
        exported(adapter_of("llama"), "ollama")


def test_base_and_adapter_stand_side_by_side_where_asked(adapter_of: Callable[..., Path], exported: Any) -> None:
    result, values = exported(adapter_of("llama"), "ollama", adapter_only=True)
    body = (result.folder / "Modelfile").read_text()
    assert body.startswith("FROM ./llama.gguf\nADAPTER ./adapter-adapter.gguf\n")
    assert {"llama.gguf", "adapter-adapter.gguf"} <= {file.name for file in result.folder.iterdir()}
    assert values["with_the_base_as_gguf_answers_that_differ"] == 0


def with_system_prompt(adapter: Path, base: Path, prompt: str) -> Path:
    record = {"base": {"path": str(base), "fingerprint": base_fingerprint(base)}, "config": {"system_prompt": prompt}}
    (adapter / "provenance.json").write_text(json.dumps(record))
    return adapter


def test_the_system_prompt_of_the_run_goes_along(
    adapter_of: Callable[..., Path], base_of: Callable[..., Path], exported: Any
) -> None:
    adapter = with_system_prompt(adapter_of("llama"), base_of("llama"), '你是"律师"。\n请简短。')
    result, values = exported(adapter, "ollama")
    assert 'SYSTEM """你是"律师"。\n请简短。"""' in (result.folder / "Modelfile").read_text()
    assert values["templates_that_spell_otherwise"] == values["prompts_with_other_ids"] == 0


def test_a_system_prompt_that_would_end_the_modelfile_early_is_refused(
    adapter_of: Callable[..., Path], base_of: Callable[..., Path], exported: Any
) -> None:
    adapter = with_system_prompt(adapter_of("llama"), base_of("llama"), 'Say "yes"')
    with pytest.raises(ModelError, match="quotation mark"):
        exported(adapter, "ollama")
