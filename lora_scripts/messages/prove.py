"""A failed check of the verification: what it means, and what to do about this one."""

_DISK = (
    "run it again; where it comes back, look at the disk and at what else writes to output_dir",
    "请重新运行；若再次出现，请检查磁盘，以及是否有其他程序写入 output_dir",
)
_VERSIONS = (
    "install the versions of constraints.txt (`make setup`) and run again; where it comes back it is a bug of ours",
    "请安装 constraints.txt 中的版本（`make setup`）后重新运行；若再次出现，则是本工具的缺陷，请反馈",
)
_LEARN_MORE = (
    "raise learning_rate or epochs, and look at data_report.html: is there something to learn?",
    "请调大 learning_rate 或 epochs，并查看 data_report.html，确认确有可学的内容",
)
_EXACT = (
    "set precision: fp32 and run again; where it comes back it is a bug of ours",
    "请设置 precision: fp32 后重新运行；若再次出现，则是本工具的缺陷，请反馈",
)

TEXTS: dict[str, tuple[str, str]] = {
    "every_value_is_finite": (
        "{value:g} tensors of the adapter hold values that are not finite numbers",
        "适配器中有 {value:g} 个张量含非有限数",
    ),
    "every_value_is_finite.fix": (
        "lower learning_rate, or set precision: fp32",
        "请调低 learning_rate，或设置 precision: fp32",
    ),
    "every_tensor_is_bound_by_stock_peft": (
        "{value:g} tensors of the file are not the ones that peft loads from it",
        "文件中有 {value:g} 个张量与 peft 加载到的不一致",
    ),
    "every_tensor_is_bound_by_stock_peft.fix": _VERSIONS,
    "every_tensor_is_bound_by_stock_diffusers": (
        "{value:g} tensors of the file are not the ones that diffusers loads from it",
        "文件中有 {value:g} 个张量与 diffusers 加载到的不一致",
    ),
    "every_tensor_is_bound_by_stock_diffusers.fix": _VERSIONS,
    "every_tensor_reads_back_the_same": (
        "{value:g} tensors read back from the file differ from the trained ones",
        "从文件读回的 {value:g} 个张量与训练所得不同",
    ),
    "every_tensor_reads_back_the_same.fix": _DISK,
    "no_tensor_is_all_zero": (
        "{value:g} layers were never changed by training",
        "有 {value:g} 个层未被训练改变",
    ),
    "no_tensor_is_all_zero.fix": (
        "raise learning_rate or epochs; where the same layers stay so, leave them out of target_modules",
        "请调大 learning_rate 或 epochs；若总是这些层，请从 target_modules 中去掉它们",
    ),
    "no_factors_are_all_one": (
        "{value:g} layers were never changed by training",
        "有 {value:g} 个层未被训练改变",
    ),
    "no_factors_are_all_one.fix": (
        "raise learning_rate or epochs; where the same layers stay so, leave them out of target_modules",
        "请调大 learning_rate 或 epochs；若总是这些层，请从 target_modules 中去掉它们",
    ),
    "stock_peft_logits_equal_ours": (
        "the adapter loaded by peft gives other logits than the trained model: apart by {value:.3g}, at most "
        "{bound:.3g}",
        "peft 加载的适配器与训练所得模型的 logits 相差 {value:.3g}，上限 {bound:.3g}",
    ),
    "stock_peft_logits_equal_ours.fix": _EXACT,
    "stock_diffusers_denoises_as_ours": (
        "the adapter loaded by diffusers denoises otherwise than the trained model: apart by {value:.3g}, at most "
        "{bound:.3g}",
        "diffusers 加载的适配器与训练所得模型的去噪结果相差 {value:.3g}，上限 {bound:.3g}",
    ),
    "stock_diffusers_denoises_as_ours.fix": _EXACT,
    "adapter_on_differs_from_off_by_at_least": (
        "the adapter changes next to nothing: output with and without it differs by {value:.3g}, at least {bound:.3g} "
        "is asked",
        "适配器几乎没有作用：加载与不加载的输出只相差 {value:.3g}，要求至少 {bound:.3g}",
    ),
    "adapter_on_differs_from_off_by_at_least.fix": _LEARN_MORE,
    "adapter_off_equals_base": (
        "with the adapter switched off the model is not the base: apart by {value:.3g}",
        "关闭适配器后模型与基础模型不同：相差 {value:.3g}",
    ),
    "adapter_off_equals_base.fix": (
        "make sure that nobody writes to the folder of the base meanwhile, and run again on device: cpu",
        "请确认期间没有程序写入基础模型的文件夹，并用 device: cpu 重新运行",
    ),
    "both_weight_files_are_the_same": (
        "adapter_model.safetensors and pytorch_lora_weights.safetensors differ",
        "adapter_model.safetensors 与 pytorch_lora_weights.safetensors 不同",
    ),
    "both_weight_files_are_the_same.fix": _DISK,
    "chat_sends_the_prompt_of_training": (
        "the tokenizer in output_dir makes another prompt of a training question than training did",
        "output_dir 中的分词器对训练问题给出的提示词与训练时不同",
    ),
    "chat_sends_the_prompt_of_training.fix": (
        "compare both by `lora-scripts preview CONFIG`; the weights are sound, but chat and serve would ask in another "
        "form: it is a bug of ours, report it with the first record",
        "可用 `lora-scripts preview CONFIG` 对照；权重没有问题，但 chat 和 serve 的提问格式会不同："
        "这是本工具的缺陷，请附上第一条记录反馈",
    ),
    "merged_equals_adapter": (
        "merged into the base the adapter gives other output: apart by {value:.3g}, at most {bound:.3g}",
        "适配器合并进基础模型后输出不同：相差 {value:.3g}，上限 {bound:.3g}",
    ),
    "merged_equals_adapter.fix": (
        "set precision: fp32 and run again; or use the adapter as it is and do not merge it",
        "请设置 precision: fp32 后重新运行；或直接使用适配器，不要合并",
    ),
}
