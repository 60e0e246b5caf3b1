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
    "of_pictures": (
        "this is the adapter of a picture model, which answers no questions",
        "这是图像模型的适配器，不能用于问答",
    ),
    "of_pictures.fix": (
        "draw with it: lora-scripts generate; convert, weigh or merge it: lora-scripts export",
        "绘图请用 lora-scripts generate；转换、加权或合并请用 lora-scripts export",
    ),
    "unreadable": ("the adapter cannot be read: {reason}", "无法读取适配器：{reason}"),
    "other_kind": ("adapters of the kind {kind} are not supported", "不支持 {kind} 类型的适配器"),
    "other_kind.fix": (
        "supported: LoRA, rsLoRA, DoRA and IA3 as peft saves them",
        "支持 peft 保存的 LoRA、rsLoRA、DoRA 和 IA3",
    ),
    "keys_differ": (
        "tensors that do not make up a whole adapter: {names}",
        "以下张量不能组成完整的适配器：{names}",
    ),
    "keys_differ.fix": (
        "copy adapter_config.json and the weights anew, from the same folder",
        "请从同一文件夹重新复制 adapter_config.json 和权重文件",
    ),
    "other_rank": (
        "{names} has rank {rank}, which adapter_config.json does not name",
        "{names} 的秩是 {rank}，adapter_config.json 中没有这个秩",
    ),
    "other_rank.fix": (
        "config and weights are of different adapters: copy both anew, from the same folder",
        "配置与权重不属于同一个适配器：请从同一文件夹重新复制两者",
    ),
    "more_than_layers": (
        "this adapter changes more of the model than the layers that it is put on: {names}",
        "这个适配器不只改动所加的层，还改动了模型的其他部分：{names}",
    ),
    "more_than_layers.fix": (
        "merge it into its base with the tool that made it, and use the merged model as the base",
        "请用生成它的工具把它合并进基础模型，再把合并后的模型作为底座",
    ),
    "changed_base": (
        "this adapter began with {start}, which changes the weights of the base as well",
        "这个适配器以 {start} 方式初始化，同时改动了基础模型的权重",
    ),
    "changed_base.fix": (
        "save it as a plain LoRA: peft's save_pretrained(…, path_initial_model_for_weight_conversion=…)",
        "请另存为普通 LoRA：peft 的 save_pretrained(…, path_initial_model_for_weight_conversion=…)",
    ),
    "pattern": (
        "alpha_pattern holds a pattern, and patterns from files are not run: {pattern}",
        "alpha_pattern 中是一个模式，而文件中的模式不会被执行：{pattern}",
    ),
    "pattern.fix": (
        "write the names of the modules in adapter_config.json instead",
        "请在 adapter_config.json 中改写为模块名",
    ),
    # stacks
    "dora_weight": (
        "a DoRA adapter rescales the whole weight, so it cannot count for {weight}",
        "DoRA 适配器会缩放整个权重，不能按 {weight} 加权",
    ),
    "dora_weight.fix": ("give it without a weight", "请不要给它加权重"),
    "dora_not_first": (
        "a DoRA adapter rescales the base's weight, so it can only be the first of a stack",
        "DoRA 适配器缩放的是基础模型的权重，只能是叠加中的第一个",
    ),
    "dora_not_first.fix": ("name it first", "请把它写在最前面"),
    "mixed": (
        "adapters of different kinds cannot be stacked: {kinds}",
        "不同类型的适配器不能叠加：{kinds}",
    ),
    "mixed.fix": ("use one of them, or train both by the same method", "请只用其中一个，或用同一方法训练"),
    "merge_left_out": (
        "the base is quantised: merging would round the adapter together with it",
        "基础模型是量化的，合并会把适配器连同基础模型一起取整",
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
