"""serve.yaml: what a server is made of. Flat like the config of a run, with the same rules for problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from typing_extensions import TypedDict

from lora_scripts.config.section import Section
from lora_scripts.config.values import Device, Text, Whole
from lora_scripts.config.words import explain
from lora_scripts.config.yaml_lines import Entry, decode
from lora_scripts.config.yaml_slips import Keys, parse_without_slips
from lora_scripts.errors import ConfigError, Problem, problem
from lora_scripts.messages import text

TEXTUAL = frozenset(
    (
        "base_model",
        "device",
        "host",
        "adapter_root",
        "adapters",
        "guardrails",
        "audit_log",
        "engine",
        "vllm",
        "api_keys",
    )
)


def _number(value: object) -> object:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _written(value: object) -> object:
    """Inside ``api_keys`` values come as written: a key of digits is no number, a limit is one."""
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 10 else value


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Weight = Annotated[float, BeforeValidator(_number)]
Names = Annotated[tuple[Text, ...], BeforeValidator(_plain)]
Gib = Annotated[float, BeforeValidator(_number), Field(gt=0, le=4096)]


Count = Annotated[int, BeforeValidator(_written), Field(ge=1)]


class Client(TypedDict, total=False):
    """One API key: itself or its sha256, what it may ask for, and how much."""

    key: Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    adapters: Names
    requests_per_minute: Count
    tokens_per_minute: Count
    concurrent_requests: Count


class ServeConfig(Section):
    """Serving

    服务
    """

    base_model: Text
    """Folder of the base model; its name is the `model` that clients ask for to get it alone.

    基础模型所在的文件夹；其名称即客户端请求基础模型时使用的 `model`。
    """
    adapters: dict[Text, Text] = Field(default_factory=dict)
    """Adapters by name, each an output folder of a run or any PEFT folder.

    按名称列出的适配器，可以是训练的输出文件夹或任何 PEFT 文件夹。
    """
    adapter_root: Text | None = None
    """The folder below which adapters may be loaded while serving; paths of `/admin/adapters` are relative to it.

    服务期间可加载的适配器必须位于此文件夹之下；`/admin/adapters` 的路径相对于它。
    """
    stacks: dict[Text, dict[Text, Weight]] = Field(default_factory=dict)
    """Named stacks: a name that clients ask for as `model`, and the adapters in it with their weights.

    命名叠加：客户端以该名称作为 `model` 请求，其中列出各适配器及其权重。
    """
    host: Text = "127.0.0.1"
    """Address to listen on; another one than this machine's own needs an API key.

    监听地址；若不是本机地址，则必须设置 API 密钥。
    """
    port: Annotated[Whole, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 takes a free one, which is printed.

    监听端口；0 表示使用一个空闲端口并显示出来。
    """
    device: Device = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`. With addresses in `vllm`, `cuda` says that all those servers have cards.

    `auto`、`cpu`、`cuda` 或 `cuda:N`。填写了 `vllm` 地址时，`cuda` 表示这些服务都有显卡。
    """
    quantization: Literal["none", "nf4", "int8"] = "none"
    """The base in 4 or 8 bits; not with `engine: vllm`.

    以 4 位或 8 位加载基础模型；不能与 `engine: vllm` 同用。
    """
    engine: Literal["auto", "paged", "simple", "vllm"] = "auto"
    """`paged` answers many requests at once, `simple` one after another; `auto` takes `paged` where it can. `vllm`
    stands in front of vLLM servers.

    `paged` 同时回答多个请求，`simple` 逐个回答；`auto` 能用则用 `paged`。`vllm` 作为 vLLM 服务前面的网关。
    """
    vllm: Names = ()
    """With `engine: vllm`: addresses of running vLLM servers; none starts one.

    `engine: vllm` 时：已运行的 vLLM 服务地址；不填则启动一个。
    """
    kv_cache_gib: Gib = 1.0
    """Memory for keys and values of running requests, in GiB. It bounds how long prompt and answer may be together.

    运行中请求的键值缓存内存（GiB），它决定提示与回答合计的最大长度。
    """
    adapter_memory_gib: Gib = 4.0
    """Memory for adapters on the device, in GiB. What was not asked for longest goes when it is full.

    设备上用于适配器的内存（GiB）；用满时先移出最久未使用的。
    """
    host_memory_gib: Gib = 8.0
    """On a card: memory of the machine for adapters that were moved off the card, in GiB.

    使用显卡时：从显卡移出的适配器可占用的主机内存（GiB）。
    """
    max_lora_rank: Annotated[Whole, Field(ge=1, le=4096)] = 512
    """The highest rank of an adapter that is loaded. A vLLM that is started gets what the config needs, at least 64.

    可加载的适配器的最大秩。自动启动的 vLLM 按配置所需设置，至少为 64。
    """
    max_requests: Annotated[Whole, Field(ge=1, le=4096)] = 128
    """Answers that may run or wait at once; more are told to come back later (429).

    同时运行或等待的回答数上限；超出的请求会被告知稍后再试（429）。
    """
    max_new_tokens: Annotated[Whole, Field(ge=1)] = 1024
    """How long an answer may be where the client sets no limit, in tokens.

    客户端未限制时回答的最大长度（词元数）。
    """
    max_body_kib: Annotated[Whole, Field(ge=1, le=1 << 20)] = 1024
    """The largest request body, in KiB.

    请求体的最大大小（KiB）。
    """
    drain_seconds: Annotated[Whole, Field(ge=0, le=3600)] = 30
    """After SIGTERM: how long running requests may take to end.

    收到 SIGTERM 后，运行中的请求最多还可用的秒数。
    """
    api_keys: dict[Text, Client] = Field(default_factory=dict)
    """Clients by name: `key` or its `sha256`, the `adapters` that it may ask for, `requests_per_minute`,
    `tokens_per_minute`, `concurrent_requests`. The environment variable LORA_SCRIPTS_API_KEY adds one without limits.

    按名称列出的客户端：`key` 或其 `sha256`、可用的 `adapters`、`requests_per_minute`、`tokens_per_minute`、
    `concurrent_requests`。环境变量 LORA_SCRIPTS_API_KEY 另加一个无限制的密钥。
    """
    admin_key_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """sha256 of the key that may load and unload adapters; LORA_SCRIPTS_ADMIN_KEY does the same.

    可加载、卸载适配器的密钥的 sha256；也可用 LORA_SCRIPTS_ADMIN_KEY 设置。
    """
    routes: tuple[Any, ...] = ()
    """Rules by which the model `auto` chooses an adapter, see docs/routing.md.

    模型 `auto` 选择适配器的规则，见 docs/routing.md。
    """
    learned_router: bool = False
    """Let the model `auto` learn from the adapters' training questions which one to ask.

    让模型 `auto` 从各适配器的训练问题学习该问哪一个。
    """
    guardrails: Text | None = None
    """File with rules on what goes in and what comes out, see docs/guardrails.md.

    输入与输出规则文件，见 docs/guardrails.md。
    """
    audit_log: Text | None = None
    """File to which every request is noted, each line chained to the one before.

    记录每个请求的文件，每行与前一行相链接。
    """
    audit_raw_text: bool = False
    """Note the words themselves too, not only their hashes.

    除哈希外也记录原文。
    """


@dataclass(frozen=True, slots=True)
class ServeLoaded:
    """A serve.yaml that was read, with lines for the user.

    ``where`` is the ``file:line`` of each given key, of inner ones under ``key.inner``.
    """

    config: ServeConfig
    notes: tuple[str, ...]
    where: Mapping[str, str]


def load_serve_config(path: str | Path | None, given: Mapping[str, object]) -> ServeLoaded:
    """Read serve.yaml, where there is one; ``given`` are values of the command line, which win.

    Raises:
        ConfigError: The file cannot be read, or some keys are wrong: all of them at once, each with its line.
    """
    line = text("config.command_line")
    name, entries = str(path or line), {}
    notes: list[str] = []
    problems: list[Problem] = []
    if path is not None:
        try:
            source, notes = decode(Path(path).read_bytes(), name)
        except OSError as error:
            raise ConfigError("config.unreadable", where=name, reason=error.strerror or error) from None
        written, problems = parse_without_slips(source, name, TEXTUAL, Keys(TEXTUAL, (), ()))
        entries = {entry.key: entry for entry in written if entry.value is not None}
    values: dict[str, Any] = {key: _listed(entry.value) for key, entry in entries.items()}
    for key, value in given.items():
        if value is None or (key == "adapters" and not value):
            continue
        if key == "adapters" and isinstance(value, Mapping) and isinstance(values.get(key, {}), dict):
            value = {**values.get(key, {}), **value}
        values[key] = value
        entries.setdefault(key, Entry(key, value, line))
    problems += _without_effect(values, entries)
    problems += _clients(values.get("api_keys"), entries)
    try:
        config = ServeConfig.model_validate(values)
    except ValidationError as error:
        problems += explain(error, entries, name, ServeConfig)
        raise ConfigError(problems) from None
    if problems:
        raise ConfigError(problems)
    where = {key: entry.where for key, entry in entries.items()}
    inner = {".".join(path): place for entry in entries.values() for path, place in entry.lines.items()}
    return ServeLoaded(config, tuple(notes), inner | where)


def _without_effect(values: Mapping[str, Any], entries: Mapping[str, Entry]) -> list[Problem]:
    """Keys that nothing would act on."""
    found = []
    if values.get("audit_raw_text") and not values.get("audit_log"):
        found.append(problem("serve.raw_without_log", entries["audit_raw_text"].where))
    if values.get("vllm") and values.get("engine") != "vllm":
        found.append(problem("serve.servers_unused", entries["vllm"].where))
    return found


def _clients(clients: object, entries: Mapping[str, Entry]) -> list[Problem]:
    """Clients that have no key, or two."""
    found = []
    for client, keys in clients.items() if isinstance(clients, Mapping) else ():
        if isinstance(keys, Mapping) and ("key" in keys) == ("sha256" in keys):
            entry = entries["api_keys"]
            found.append(problem("serve.client_key", entry.lines.get(("api_keys", client), entry.where), name=client))
    return found


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
