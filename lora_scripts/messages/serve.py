"""What the server says."""

TEXTS: dict[str, tuple[str, str]] = {
    "unfit_layers": (
        "layers whose inputs are not the tokens one by one, so that no adapter can be chosen there per request: {names}",
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
    "engine_down": ("the engine stopped; try again", "引擎已停止，请重试"),
    "loop_died": ("the engine's loop died and is started again: {reason}", "引擎循环中止，正在重启：{reason}"),
    "loop_stays_down": (
        "the engine's loop died again at once; it stays down",
        "引擎循环重启后立即再次中止，不再重启",
    ),
}
