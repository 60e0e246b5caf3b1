"""What the server says."""

TEXTS: dict[str, tuple[str, str]] = {
    "unfit_layers": (
        "layers whose inputs are not the tokens one by one, so that no adapter can be chosen there: {names}",
        "这些层的输入不是逐个词元，无法按请求选择适配器：{names}",
    ),
    "unfit_layers.fix": (
        "merge it into its base (`lora-scripts export RUN --to merged`) and serve that",
        "请先合并进基础模型（`lora-scripts export RUN --to merged`）再提供服务",
    ),
    "rank_too_high": ("rank {rank} is above the server's limit of {limit}", "秩 {rank} 超过服务器上限 {limit}"),
    "rank_too_high.fix": (
        "raise max_lora_rank, or make the adapter smaller: `lora-scripts adapters shrink`",
        "请提高 max_lora_rank，或缩小适配器：`lora-scripts adapters shrink`",
    ),
    "other_shape": (
        "a tensor does not fit its layer: {found}, the layer is {expected}",
        "张量与所在层形状不符：{found}，该层为 {expected}",
    ),
    "other_shape.fix": (
        "load it on the base model that it was trained on",
        "请加载训练时所用的基础模型",
    ),
    "slow_start": ("it was not ready in {seconds:.0f} s", "{seconds:.0f} 秒内未就绪"),
    "missing_parts": (
        "this version of transformers has no {names}",
        "此版本的 transformers 没有 {names}",
    ),
    "answers_differ": (
        "its answers in pages are not those of the model alone",
        "分页计算的回答与模型单独计算的不同",
    ),
    "engine_down": ("the engine stopped; try again", "引擎已停止，请重试"),
    "loop_died": ("the engine's loop died and is started again: {reason}", "引擎循环中止，正在重启：{reason}"),
    "loop_stays_down": (
        "the engine's loop died again at once; it stays down",
        "引擎循环重启后立即再次中止，不再重启",
    ),
    # adapters and stacks
    "bad_name": (
        "{name} is no name for an adapter or stack",
        "{name} 不能作为适配器或叠加的名称",
    ),
    "bad_name.fix": (
        "use 1 to 64 letters, digits, dots, dashes and underscores",
        "请使用 1 到 64 个字母、数字、点、连字符或下划线",
    ),
    "name_taken": ("{name} is taken", "名称 {name} 已被占用"),
    "name_taken.fix": ("choose another name", "请换一个名称"),
    "outside": ("{path} does not lie below the adapter root", "{path} 不在适配器根目录之下"),
    "outside.fix": (
        "give a path relative to adapter_root, without links that lead out of it",
        "请给出相对于 adapter_root 的路径，且不得含有指向其外的链接",
    ),
    "no_such_adapter_folder": ("there is no {path} below the adapter root", "适配器根目录下没有 {path}"),
    "no_root": (
        "this server loads no adapters while it runs",
        "此服务在运行期间不加载适配器",
    ),
    "no_root.fix": ("start it with --adapter-root DIR", "请用 --adapter-root DIR 启动"),
    "file_changed": (
        "the files of the adapter {name} changed since it was loaded",
        "适配器 {name} 的文件在加载之后被改动",
    ),
    "file_changed.fix": (
        "load it again under its name to take the new files",
        "请用同一名称重新加载，以使用新文件",
    ),
    "too_large": (
        "the adapter {name} takes {size:.0f} MB, more than all that adapters may take ({limit:.0f} MB)",
        "适配器 {name} 需要 {size:.0f} MB，超过适配器可用的全部内存（{limit:.0f} MB）",
    ),
    "too_large.fix": ("raise adapter_memory_gib", "请提高 adapter_memory_gib"),
    "store_full": (
        "there is no room for the adapter {name}: all others are in use or pinned",
        "没有空间加载适配器 {name}：其他适配器都在使用中或被固定",
    ),
    "other_base": (
        "this adapter was trained on another base than {base}, or the base was changed since",
        "该适配器不是在 {base} 上训练的，或基础模型已被改动",
    ),
    "other_base.fix": ("serve it with the base that it was trained on", "请用它训练时的基础模型提供服务"),
    "other_template": (
        "the chat template is not the one that this adapter was trained with (provenance.json)",
        "对话模板与训练该适配器时的模板不同（见 provenance.json）",
    ),
    "other_template.fix": (
        "copy the tokenizer files of the run anew",
        "请从训练输出文件夹重新复制分词器文件",
    ),
    "stack_needs_base": (
        "a stack of the request's own goes with the model {base}, not with {model}",
        "请求中的 adapters 只能与基础模型 {base} 一起使用，不能与 {model} 一起使用",
    ),
    "stack_size": (
        "{count} adapters in a stack; there may be 1 to {most}",
        "叠加了 {count} 个适配器，应为 1 到 {most} 个",
    ),
    "stack_twice": ("twice in a stack: {names}", "叠加中重复：{names}"),
    "stack_weight": (
        "{weight} is no weight for {name}: it must be a number from -{most} to {most}",
        "{weight} 不能作为 {name} 的权重，应为 -{most} 到 {most} 之间的数",
    ),
    "stack_unknown": ("there is no adapter {name}", "没有适配器 {name}"),
    "stack_unknown.fix": (
        "name it under adapters, or take it out of the stack",
        "请在 adapters 中列出，或从叠加中去掉",
    ),
    "two_doras": (
        "each DoRA adapter rescales the base's weight, so only one can be in a stack: {names}",
        "每个 DoRA 适配器都会缩放基础模型的权重，叠加中只能有一个：{names}",
    ),
    "route_unknown": ("routes lead to names that are not served: {names}", "路由指向未提供的名称：{names}"),
    "route_unknown.fix": ("name adapters or stacks of this file", "请使用本文件中的适配器或叠加名称"),
    "loaded": (
        "adapter {name}: {method}, rank {rank}, {size:.1f} MB",
        "适配器 {name}：{method}，秩 {rank}，{size:.1f} MB",
    ),
    # requests
    "unknown_model": ("there is no model {name}", "没有模型 {name}"),
    "not_allowed": ("this key may not ask for the model {name}", "此密钥无权请求模型 {name}"),
    "too_long": (
        "the prompt has {prompt} tokens and the answer may have {answer}: together more than {limit}",
        "提示有 {prompt} 个词元，回答最多 {answer} 个，合计超过 {limit} 个",
    ),
    "strange_id": ("{id} is no token id; there are {count}", "{id} 不是词元编号；共有 {count} 个"),
    "empty_prompt": ("the prompt is empty", "提示为空"),
    "bad_schema": ("the JSON schema cannot be used: {reason}", "无法使用该 JSON schema：{reason}"),
    "unknown_field": ("the field {name} is not supported", "不支持字段 {name}"),
    "bad_field": ("{name}: {reason}", "{name}：{reason}"),
    "more_fields": ("({count} more)", "（另有 {count} 处）"),
    "logprobs_guarded": (
        "logprobs would show words that the guardrails keep back",
        "logprobs 会显示护栏规则所保留的内容",
    ),
    "audit_broken": (
        "requests cannot be noted, so none is answered; see the server's log",
        "无法记录请求，因此暂不回答；请查看服务日志",
    ),
    "audit_failed": ("the audit log cannot be written: {reason}", "无法写入审计日志：{reason}"),
    "not_finite": (
        "the numbers of this answer overflowed: an adapter or its weight is too large",
        "回答的数值溢出：适配器或其权重过大",
    ),
    "our_bug": ("an error of ours; it was logged", "服务内部错误，已记录"),
    # the gate
    "strange_host": (
        "a request for {host} does not belong here: without a key only this machine's own names are answered",
        "对 {host} 的请求不属于本服务：未设置密钥时只接受本机名称",
    ),
    "no_key": ("an API key is needed: Authorization: Bearer KEY", "需要 API 密钥：Authorization: Bearer KEY"),
    "wrong_key": ("this API key is not known", "API 密钥无效"),
    "no_admin_key": (
        "this server has no admin key, so nobody may change adapters (LORA_SCRIPTS_ADMIN_KEY)",
        "此服务未设置管理密钥，不能更改适配器（LORA_SCRIPTS_ADMIN_KEY）",
    ),
    "wrong_admin_key": ("this needs the admin key", "此操作需要管理密钥"),
    "body_too_large": ("the body is larger than {limit} bytes", "请求体超过 {limit} 字节"),
    "body_too_slow": ("the body did not arrive in {seconds:g} s", "请求体未在 {seconds:g} 秒内到达"),
    "not_json_type": ("the body must be application/json, not {kind}", "请求体须为 application/json，而不是 {kind}"),
    "not_json": ("the body is no JSON object: {reason}", "请求体不是 JSON 对象：{reason}"),
    "client_left": ("the client left", "客户端已断开"),
    "queue_full": ("{count} answers run or wait; come back later", "已有 {count} 个回答在运行或等待，请稍后再试"),
    "draining": ("the server is going down", "服务正在关闭"),
    "key_requests": ("more than {limit} requests a minute", "每分钟请求数超过 {limit}"),
    "key_tokens": ("more than {limit} tokens a minute", "每分钟词元数超过 {limit}"),
    "key_concurrent": ("more than {limit} requests at once", "同时请求数超过 {limit}"),
    # start and end
    "raw_without_log": (
        "audit_raw_text has no effect without audit_log",
        "没有 audit_log 时 audit_raw_text 不起作用",
    ),
    "raw_without_log.fix": ("name a file in audit_log, or take the line out", "请在 audit_log 中写明文件，或删去此行"),
    "servers_unused": ("vllm has no effect without engine: vllm", "没有 engine: vllm 时 vllm 不起作用"),
    "servers_unused.fix": ("write engine: vllm, or take the line out", "请写 engine: vllm，或删去此行"),
    "client_key": (
        "the client {name} needs `key` or `sha256`, one of them",
        "客户端 {name} 需要 `key` 或 `sha256` 之一",
    ),
    "client_key.fix": ("write one of the two", "请填写其中一个"),
    "open_to_others": (
        "another address than this machine's own needs an API key: set {variable}",
        "监听本机以外的地址需要 API 密钥：请设置 {variable}",
    ),
    "open_to_others.fix": (
        "set the environment variable {variable}, or api_keys in serve.yaml",
        "请设置环境变量 {variable}，或在 serve.yaml 中设置 api_keys",
    ),
    "same_keys": (
        "the admin key is also an API key, so every client could change adapters",
        "管理密钥与 API 密钥相同，任何客户端都能更改适配器",
    ),
    "same_keys.fix": ("choose another admin key", "请换一个管理密钥"),
    "cannot_listen": ("cannot listen there: {reason}", "无法监听该地址：{reason}"),
    "cannot_listen.fix": ("choose another --port or --host", "请换一个 --port 或 --host"),
    "not_paged": ("this base cannot be served in pages: {reason}", "该基础模型不能用分页引擎：{reason}"),
    "not_paged.fix": ("use engine: simple", "请使用 engine: simple"),
    "falls_back": (
        "requests are answered one after another, since the paged engine cannot be used: {reason}",
        "无法使用分页引擎，将逐个回答请求：{reason}",
    ),
    "listening": (
        "listening on {address}: {base} and {count} adapters",
        "正在监听 {address}：{base} 与 {count} 个适配器",
    ),
    "draining_now": ("going down: {count} answers still run", "正在关闭：还有 {count} 个回答在运行"),
    "cut_off": ("{count} answers did not end in time and are cut off", "{count} 个回答未能按时结束，已中断"),
}
