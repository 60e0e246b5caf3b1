"""The page and the JSON schema are made from the keys, and all keys are told in both languages."""

import subprocess
import sys

import yaml

from lora_scripts.config import Config
from lora_scripts.config.document import json_schema, markdown
from lora_scripts.config.schema import SECTIONS
from lora_scripts.messages.config import TEXTS


def test_docs_config_md_is_up_to_date(project_root):
    page = (project_root / "docs" / "config.md").read_text(encoding="utf-8")
    assert page == markdown(), "run `python -m lora_scripts.config.document > docs/config.md`"


def test_the_page_does_not_depend_on_the_language(monkeypatch):
    english = markdown()
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "zh")
    assert markdown() == english


def test_every_key_is_in_one_section_and_told_in_both_languages():
    keys = [name for section in SECTIONS for name in section.model_fields]
    assert sorted(keys) == sorted(Config.model_fields)
    for name, key in Config.model_fields.items():
        english, _, chinese = (key.description or "").partition("\n\n")
        assert english.isascii() or "×" in english or "甲" in english or "咨询" in english, name
        assert any("一" <= sign <= "鿿" for sign in chinese), name
        assert f"| `{name}` |" in markdown()


def test_the_schema_knows_ranges_choices_and_the_keys_of_the_example():
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert sorted(schema["required"]) == ["base_model", "output_dir"]
    assert set(schema["properties"]) == {*Config.model_fields, "fp16", "bf16"}
    rank = schema["properties"]["lora_rank"]["anyOf"]
    assert rank == [{"maximum": 1024, "minimum": 1, "type": "integer"}, {"type": "null"}]
    assert schema["properties"]["sample_questions"]["anyOf"][0] == {"type": "string"}


def test_no_text_is_filed_that_nothing_says(project_root):
    rooms = (project_root / "lora_scripts" / "config").glob("*.py")
    source = "".join(path.read_text(encoding="utf-8") for path in rooms)
    unused = [key for key in TEXTS if not key.endswith(".fix") and f"config.{key}" not in source]
    # words for kinds of values are put together from a table
    assert set(unused) <= {"whole", "number", "bool", "list", "mapping"}


def test_the_room_imports_neither_torch_nor_half_the_world():
    heavy = "[m for m in ('torch', 'transformers', 'peft', 'numpy') if m in sys.modules]"
    code = f"import sys, lora_scripts.config; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert yaml.safe_load(done.stdout) == []
