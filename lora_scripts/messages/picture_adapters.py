"""What is said about adapters of Stable Diffusion models."""

TEXTS: dict[str, tuple[str, str]] = {
    "none_here": ("there is no adapter for pictures here", "这里没有图像适配器"),
    "none_here.fix": (
        "give the output_dir of a finished run, or a .safetensors file",
        "请给出已完成训练的 output_dir，或一个 .safetensors 文件",
    ),
    "pickle": (
        "this file is a pickle, which can run code when it is read; it is not read",
        "这是 pickle 文件，读取时可能执行代码，因此不读取",
    ),
    "pickle.fix": ("save it as safetensors with the tool that made it", "请用生成它的工具另存为 safetensors"),
    "unreadable": ("the adapter cannot be read: {reason}", "无法读取适配器：{reason}"),
    "unreadable.fix": ("copy or download the file anew", "请重新复制或下载该文件"),
    "empty": ("the file holds no tensors", "文件中没有张量"),
    "empty.fix": ("save the adapter anew with the tool that made it", "请用生成它的工具重新保存适配器"),
    "not_finite": (
        "values that are not finite numbers in {names}; such an adapter draws black pictures and is never used",
        "{names} 中有非有限数；这样的适配器只会画出黑图，不会被使用",
    ),
    "not_finite.fix": (
        "take an earlier checkpoint, or train again at a lower rate",
        "请使用更早的检查点，或以更低的学习率重新训练",
    ),
    "incomplete": ("{names} lacks its {missing}", "{names} 缺少 {missing}"),
    "incomplete.fix": (
        "the file was cut or edited: save it anew with the tool that made it",
        "文件被截断或改动过：请用生成它的工具重新保存",
    ),
    "twice": ("two tensors of the file are the same part of {names}", "文件中有两个张量对应 {names} 的同一部分"),
    "twice.fix": ("keep one of the two layouts in the file", "请只保留其中一种命名方式"),
    "shapes": ("the shapes of {names} do not fit: {shapes}", "{names} 的形状不相符：{shapes}"),
    "shapes.fix": (
        "use the adapter with the base model that it was trained on",
        "请把适配器用在训练它的基础模型上",
    ),
    "rank": ("{names} has rank {rank}, and {limit} is the most", "{names} 的秩是 {rank}，最大允许 {limit}"),
    "rank.fix": ("such a file is not a LoRA adapter", "这样的文件不是 LoRA 适配器"),
    "other_rank": (
        "{names} has rank {rank}, and the settings in the file say {said}",
        "{names} 的秩是 {rank}，而文件中的设置写的是 {said}",
    ),
    "other_rank.fix": (
        "settings and weights are of different adapters: save the adapter anew",
        "设置与权重不属于同一个适配器：请重新保存适配器",
    ),
    "two_alphas": (
        "alpha of {names} is {tensor} by its tensor and {said} by the settings in the file",
        "{names} 的 alpha 按张量是 {tensor}，按文件中的设置是 {said}",
    ),
    "two_alphas.fix": ("save the adapter anew with the tool that made it", "请用生成它的工具重新保存适配器"),
    "alpha": ("alpha of {names} is not one finite number", "{names} 的 alpha 不是一个有限的数"),
    "alpha.fix": ("save the adapter anew with the tool that made it", "请用生成它的工具重新保存适配器"),
    "of_texts": (
        "this is the adapter of a text model, which draws nothing",
        "这是文本模型的适配器，不能用于绘图",
    ),
    "of_texts.fix": (
        "talk with it: lora-scripts chat; serve it: lora-scripts serve",
        "对话请用 lora-scripts chat；服务请用 lora-scripts serve",
    ),
    "one_part": ("this is one part of a picture adapter", "这只是图像适配器的一个部分"),
    "one_part.fix": ("name the folder above it, which holds all parts", "请指定上一级文件夹，其中有全部部分"),
    "several": (
        "there are several files, and it is not said which: {names}",
        "这里有多个文件，未指明是哪一个：{names}",
    ),
    "several.fix": ("name one of the files", "请指定其中一个文件"),
    "stray": ("tensors that belong to no layer of an adapter: {names}", "以下张量不属于适配器的任何层：{names}"),
    "stray.fix": (
        "supported: LoRA, rsLoRA and DoRA of SD 1.x and SDXL in the layouts of diffusers, kohya and peft",
        "支持 SD 1.x 与 SDXL 的 LoRA、rsLoRA、DoRA，布局为 diffusers、kohya 或 peft",
    ),
    "other_kind": ("adapters of the kind {kind} are not supported", "不支持 {kind} 类型的适配器"),
    "other_kind.fix": (
        "supported: LoRA, rsLoRA and DoRA; merge the others into their base with the tool that made them",
        "支持 LoRA、rsLoRA 和 DoRA；其他类型请用生成它的工具合并进基础模型",
    ),
    "dora_axis": (
        "the DoRA magnitudes of {names} are not one per output, which is the only kind that is supported",
        "{names} 的 DoRA 幅度不是每个输出一个，而只支持这一种",
    ),
    "dora_axis.fix": ("train with LyCORIS's wd_on_output=True", "请用 LyCORIS 的 wd_on_output=True 训练"),
    "unknown_layer": (
        "{names} is no layer of this model",
        "{names} 不是该模型的层",
    ),
    "unknown_layer.fix": (
        "the file is for another model: SD 1.x and SDXL are supported",
        "该文件属于其他模型：支持 SD 1.x 与 SDXL",
    ),
    "no_kohya_name": (
        "{names} has no name in kohya's layout for {kind}",
        "{names} 在 kohya 的 {kind} 布局中没有对应的名称",
    ),
    "no_kohya_name.fix": ("export to the diffusers layout", "请导出为 diffusers 布局"),
    "no_place": (
        "the adapter has layers that have no place in this base model: {names}",
        "适配器中的层在该基础模型里没有对应位置：{names}",
    ),
    "no_place.fix": (
        "use it with the base model that it was trained on",
        "请把它用在训练所用的基础模型上",
    ),
    "dora_alone": (
        "a DoRA adapter rescales the whole weight, so it is used alone and at weight 1 (here: {weight})",
        "DoRA 适配器会缩放整个权重，只能单独使用且权重为 1（此处为 {weight}）",
    ),
    "dora_alone.fix": (
        "give one adapter without a weight, or merge it into the base first",
        "请只用一个适配器且不加权重，或先把它合并进基础模型",
    ),
}
