"""What is said about adapters."""

TEXTS: dict[str, tuple[str, str]] = {
    "none_here": ("there is no adapter", "这里没有适配器"),
    "none_here.fix": (
        "give the output_dir of a finished run, or its pytorch_lora_weights.safetensors",
        "请给出已完成训练的 output_dir，或其中的 pytorch_lora_weights.safetensors",
    ),
    "pickle": (
        "adapter_model.bin is a pickle, which can run code when it is read; it is not read",
        "adapter_model.bin 是 pickle 文件，读取时可能执行代码，因此不读取",
    ),
    "pickle.fix": (
        "save it as safetensors with the tool that made it",
        "请用生成它的工具另存为 safetensors",
    ),
    "unreadable": ("the adapter cannot be read: {reason}", "无法读取适配器：{reason}"),
    "not_lora": ("this is not a LoRA adapter but {kind}", "这不是 LoRA 适配器，而是 {kind}"),
    "keys_differ": (
        "tensors that do not make up whole LoRA pairs: {names}",
        "以下张量不能组成完整的 LoRA 对：{names}",
    ),
    "no_place": (
        "the adapter has tensors that have no place in this base model: {names}",
        "适配器中的张量在该基础模型里没有对应位置：{names}",
    ),
    "no_place.fix": (
        "load it on the base model that it was trained on (provenance.json names it)",
        "请加载训练时所用的基础模型（见 provenance.json）",
    ),
    "not_finite": (
        "values that are not finite numbers in {names}; such an adapter is never saved or loaded",
        "{names} 中有非有限数；这样的适配器不会被保存或加载",
    ),
}
