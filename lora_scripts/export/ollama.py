"""A folder that ``ollama create`` takes: GGUF files and a Modelfile with the trained spelling."""

from __future__ import annotations

import json
from pathlib import Path

from lora_scripts.errors import ModelError
from lora_scripts.export.folders import Written, quantized_note
from lora_scripts.export.gguf_files import check_alone, compare_file, put_adapter, put_model, write_gguf
from lora_scripts.export.gguf_weights import architecture_of, check_dtype
from lora_scripts.export.go_template import execute, template_of_strings
from lora_scripts.export.merge import stored_dtype
from lora_scripts.export.source import Source
from lora_scripts.export.verify import Check, reference_of
from lora_scripts.messages import text
from lora_scripts.models.text import load_model

MODELFILE = "Modelfile"
LONGEST_CONTEXT = 8192  # tokens; Ollama reserves memory for all of them


def write_ollama(source: Source, folder: Path, *, dtype: str = "f16", adapter_only: bool = False) -> Written:
    """GGUF files and their Modelfile: base and adapter in one, or with ``adapter_only`` both beside each other.

    Raises:
        UsageError: No such ``dtype``.
        ModelError: As ``write_gguf``.
    """
    if adapter_only:
        written = _side_by_side(source, folder, dtype)
        lines = [f"FROM ./{source.base.name}.gguf", f"ADAPTER ./{source.name}-adapter.gguf"]
    else:
        written = write_gguf(source, folder, dtype=dtype)
        lines = [f"FROM ./{source.name}.gguf"]
    body, notes = modelfile(source, lines)
    (folder / MODELFILE).write_text(body, encoding="utf-8")
    written.checks.append(_template_check(source, body))
    written.notes += notes
    written.usage = (
        f"```bash\nollama create {source.name.lower()} -f Modelfile\nollama run {source.name.lower()}\n```\n"
    )
    return written


def _side_by_side(source: Source, folder: Path, dtype: str) -> Written:
    """The base and the adapter as two GGUF files; the base is compared with itself, the adapter as ever."""
    check_dtype(dtype)
    architecture = architecture_of(source.base)
    check_alone(source)
    reference = reference_of(source)
    checks, notes = put_adapter(source, folder / f"{source.name}-adapter.gguf", architecture, reference)
    base = load_model(source.base, dtype=stored_dtype(source.base), device="cpu")
    file = folder / f"{source.base.name}.gguf"
    more, told = put_model(source, file, base, architecture, dtype)
    del base
    compared, said = compare_file(source, file, reference, dtype, with_adapter=True)
    named = [Check(f"with_the_base_as_gguf_{c.name}", c.ok, c.value, c.bound) for c in compared]
    return Written([*checks, *named, *more], [*quantized_note(source), *notes, *told, *said], "", {"dtype": dtype})


def modelfile(source: Source, files: list[str]) -> tuple[str, list[str]]:
    """The Modelfile, and notes. Answers are the most likely ones, as in ``chat``: no sampling, no repeat penalty.

    Raises:
        ModelError: The system prompt cannot stand in a Modelfile.
    """
    strings, notes = source.form.strings, []
    bos = source.tokenizer.bos_token if source.adds_bos() else ""
    longest = source.context_length()
    if longest > LONGEST_CONTEXT:
        notes.append(text("export.ollama_context", chosen=LONGEST_CONTEXT, longest=longest))
    if strings.next is None:
        notes.append(text("export.ollama_turns"))
    stops = [str(source.tokenizer.convert_ids_to_tokens(i)) for i in source.form.stop_ids]
    lines = [
        *files,
        f'TEMPLATE """{template_of_strings(strings, bos)}"""',
        *(f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in stops),
        f"PARAMETER num_ctx {min(longest, LONGEST_CONTEXT)}",
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1",
    ]
    if prompt := source.system_prompt:
        if '"""' in prompt or prompt.endswith('"'):
            raise ModelError("export.ollama_system", where=source.adapter)
        lines.append(f'SYSTEM """{prompt}"""')
    return "\n".join(lines) + "\n", notes


def _template_check(source: Source, body: str) -> Check:
    """How many sample questions the Modelfile's template spells otherwise than training did."""
    template = body.partition('TEMPLATE """')[2].partition('"""')[0]
    bos = str(source.tokenizer.bos_token) if source.adds_bos() else ""
    other = 0
    for question in source.questions:
        wanted = source.spelled(question).removeprefix(bos)
        other += execute(template, source.messages(question)) != wanted
    return Check("templates_that_spell_otherwise", other == 0, other, 0)
