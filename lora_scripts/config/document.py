"""The keys as a page and as a JSON schema: ``python -m lora_scripts.config.document > docs/config.md``."""

from __future__ import annotations

from typing import Any, get_origin

from pydantic.fields import FieldInfo

from lora_scripts.config.aliases import ALIASES, SWITCHES
from lora_scripts.config.schema import SECTIONS, Config
from lora_scripts.config.section import Section
from lora_scripts.config.serving import ServeConfig
from lora_scripts.config.values import DEVICES, AnswerRules
from lora_scripts.config.words import choices_of, plain_type, range_of

_TYPES: dict[object, str] = {
    int: "whole number",
    float: "number",
    bool: "true / false",
    str: "text",
    dict: "mapping",
    AnswerRules: "mapping",
}
_HEAD = """<!-- Made from config/schema.py by `python -m lora_scripts.config.document > docs/config.md`. -->
# Config keys · 配置项

One flat YAML file, a `key: value` a line. An empty value is the default. Unknown keys, wrong types, values out of range
and keys written twice are all reported at once, each with its line. `key=value` on the command line wins over the file.
Paths are relative to the folder you are in. `2e-4` is a number; only `true` and `false` are switches.

一个扁平的 YAML 文件，每行一个 `键: 值`。值留空即取默认值。未知的键、类型不符、超出范围、重复的键会一次全部列出，
并标明行号。命令行上的 `键=值` 优先于文件。相对路径从当前所在的文件夹算起。`2e-4` 是数字；开关只写 `true` 或 `false`。
"""
_ALIAS_HEAD = """
## Names of other tools · 其他工具的键名

Read with a printed note; a config that has both names of one thing is refused.

读取时会打印说明；同一项用了两个名字则会报错。

| key · 键 | also read · 也可写作 |
|---|---|
"""
_SERVE_HEAD = """
## serve.yaml

The file of `lora-scripts serve CONFIG`, see [serving.md](serving.md). What the command line says wins.

`lora-scripts serve CONFIG` 的配置文件，见 [serving.md](serving.md)。命令行上的选项优先。

"""


def markdown() -> str:
    """The text of ``docs/config.md``."""
    parts = [_HEAD]
    for section in SECTIONS:
        parts.append(f"\n## {section.title()} · {section.title(chinese=True)}\n\n")
        parts += _table(section)
    parts.append(_ALIAS_HEAD)
    for name in Config.model_fields:
        others = [alias for alias, key in ALIASES.items() if key == name]
        others += [f"{switch}: true" for switch, (key, _, _) in SWITCHES.items() if key == name]
        if others:
            parts.append(f"| `{name}` | {', '.join(f'`{other}`' for other in sorted(others))} |\n")
    return "".join([*parts, _SERVE_HEAD, *_table(ServeConfig)])


def _table(section: type[Section]) -> list[str]:
    head = "| key · 键 | value · 取值 | default · 默认 | meaning | 含义 |\n|---|---|---|---|---|\n"
    return [head, *(_row(name, key) for name, key in section.model_fields.items())]


def json_schema() -> dict[str, Any]:
    """JSON schema of a config file, for editors. Every key may be left empty; ``fp16`` and ``bf16`` are known."""
    schema = Config.model_json_schema()
    for name, found in schema["properties"].items():
        choices = found.pop("anyOf", None) or [
            {key: found.pop(key) for key in list(found) if key not in ("description", "title", "default")}
        ]
        if name not in schema["required"] and {"type": "null"} not in choices:
            choices.append({"type": "null"})
        found["anyOf"] = choices
    for switch in ("fp16", "bf16"):
        about = f"`{switch}: true` is read as `precision: {switch}`, `false` as `precision: fp32`."
        schema["properties"][switch] = {"type": ["boolean", "null"], "description": about}
    schema["anyOf"] = [{"required": ["train_data_dir"]}, {"required": ["metadata_path"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _row(name: str, key: FieldInfo) -> str:
    english, _, chinese = (key.description or "").partition("\n\n")
    cells = (f"`{name}`", _values(name, key), _default(key), english, chinese)
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |\n"


def _values(name: str, key: FieldInfo) -> str:
    kind = plain_type(key)
    choices = DEVICES if name == "device" else choices_of(key)
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    words = "list of rules" if name == "routes" else _TYPES.get(get_origin(kind) or kind, "list of texts")
    return f"{words}, {range_of(key)}" if range_of(key) else words


def _default(key: FieldInfo) -> str:
    if key.is_required():
        return "**required**"
    if key.default in (None, ()) or key.default_factory is not None:
        return "empty"
    spelt = str(key.default).lower() if isinstance(key.default, bool) else str(key.default)
    return f"`{spelt}`"


if __name__ == "__main__":
    print(markdown(), end="")
