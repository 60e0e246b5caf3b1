"""What is said while a run is exported to the layouts of other programs."""

TEXTS: dict[str, tuple[str, str]] = {
    # the verb
    "help": (
        "Write a run in the layout of another program, verified against the adapter.",
        "把训练结果写成其他程序的格式，并与适配器核对。",
    ),
    "run": (
        "the output folder of a run, or a PEFT folder; of pictures a .safetensors file too, DIR[:WEIGHT]",
        "训练输出文件夹，或 PEFT 文件夹；图像适配器还可以是 .safetensors 文件，DIR[:WEIGHT]",
    ),
    "to": (
        "of texts merged, peft, gguf, ollama or vllm; of pictures diffusers, kohya, peft or merged",
        "文本：merged、peft、gguf、ollama 或 vllm；图像：diffusers、kohya、peft 或 merged",
    ),
    "output": ("the folder to make (default: RUN/export/LAYOUT)", "要生成的文件夹（默认：RUN/export/格式名）"),
    "overwrite": ("replace an earlier export", "覆盖先前的导出"),
    "dtype": ("numbers of a GGUF file: f16, f32 or q8_0", "GGUF 文件的数值类型：f16、f32 或 q8_0"),
    "adapter_only": (
        "gguf and ollama: the adapter as a file of its own beside its base",
        "gguf 与 ollama：适配器单独成文件，不并入底座",
    ),
    # wrong use
    "unknown_layout": ("{layout} is not a layout", "没有 {layout} 这种格式"),
    "unknown_layout.fix": ("take one of: {names}", "请选用：{names}"),
    "picture_layout": (
        "{layout} is a layout of picture adapters, and this run trained a text model",
        "{layout} 是图像适配器的格式，而这次训练的是文本模型",
    ),
    "picture_layout.fix": ("take one of: {names}", "请选用：{names}"),
    "text_layout": (
        "{layout} is a layout of text models, and this is a picture adapter",
        "{layout} 是文本模型的格式，而这是图像适配器",
    ),
    "text_layout.fix": ("take one of: {names}", "请选用：{names}"),
    "one_pass": ("one pass through the U-Net", "U-Net 的一次前向计算"),
    "also": (
        "a further picture adapter that goes into the same export, DIR[:WEIGHT]; may be repeated",
        "并入同一导出的另一个图像适配器，DIR[:WEIGHT]；可重复",
    ),
    "kohya_dora": (
        "DoRA in this layout is read rightly by LyCORIS; ComfyUI and AUTOMATIC1111 normalise in another way and draw "
        "somewhat different pictures. --to merged is the same everywhere",
        "此格式的 DoRA 只有 LyCORIS 能正确读取；ComfyUI 和 AUTOMATIC1111 的归一化方式不同，画出的图略有差异。"
        "--to merged 在各处都一样",
    ),
    "no_effect": ("{option} has no effect with --to {layout}", "{option} 对 --to {layout} 不起作用"),
    "no_effect.fix": ("leave it out; layouts that take it: {names}", "请去掉它；接受它的格式：{names}"),
    "adapter_of_texts": (
        "it joins picture adapters, and this run trained a text model",
        "此选项用于合并图像适配器，而这次训练的是文本模型",
    ),
    "adapter_of_texts.fix": (
        "join text adapters first: lora-scripts adapters combine, then export the result",
        "文本适配器请先用 lora-scripts adapters combine 合并，再导出",
    ),
    "unknown_dtype": ("{dtype} is not a number type of GGUF files here", "这里的 GGUF 文件没有 {dtype} 这种数值类型"),
    "unknown_dtype.fix": ("take one of: {names}", "请选用：{names}"),
    "exists": ("there is something here already", "这里已有内容"),
    "exists.fix": (
        "name another folder with --output, or replace it with --overwrite",
        "请用 --output 换一个文件夹，或用 --overwrite 覆盖",
    ),
    "not_an_export": (
        "this folder was not made by export, so it is not replaced",
        "这个文件夹不是 export 生成的，不会被覆盖",
    ),
    "not_an_export.fix": ("name another folder with --output", "请用 --output 换一个文件夹"),
    "no_base": (
        "neither this folder nor the command says which base model the adapter belongs to",
        "文件夹和命令都没有说明适配器属于哪个基础模型",
    ),
    "no_base.fix": ("name its folder with --base-model", "请用 --base-model 指定其文件夹"),
    # what cannot be exported
    "quantized_base": (
        "the base's own files are quantised ({stored}): an adapter cannot be merged into them exactly",
        "基础模型的文件本身是量化的（{stored}），无法精确并入适配器",
    ),
    "quantized_base.fix": (
        "name the unquantised base with --base-model, or take --to peft",
        "请用 --base-model 指定未量化的底座，或改用 --to peft",
    ),
    "overflow": ("a merged weight does not fit into {dtype}", "合并后的权重超出 {dtype} 的范围"),
    "overflow.fix": ("use a base in bfloat16 or float32", "请使用 bfloat16 或 float32 的底座"),
    "gguf_architecture": (
        "{architecture} cannot be written as GGUF; supported are {names}",
        "{architecture} 不能写成 GGUF；支持 {names}",
    ),
    "gguf_architecture.fix": (
        "take --to merged, and convert that folder with llama.cpp's own script",
        "请用 --to merged，再用 llama.cpp 自带的脚本转换该文件夹",
    ),
    "gguf_shape": (
        "this {architecture} is built as GGUF files cannot say: {reason}",
        "这个 {architecture} 的结构无法用 GGUF 表达：{reason}",
    ),
    "gguf_shape.fix": (
        "take --to merged, and convert that folder with llama.cpp's own script",
        "请用 --to merged，再用 llama.cpp 自带的脚本转换该文件夹",
    ),
    "gguf_tokenizer": (
        "a tokenizer of this kind cannot be written as GGUF: {kind}",
        "这种分词器不能写成 GGUF：{kind}",
    ),
    "gguf_tokenizer.fix": (
        "byte-level BPE and sentencepiece BPE can; take --to merged for others",
        "可以写的是字节级 BPE 和 sentencepiece BPE；其他请用 --to merged",
    ),
    "gguf_range": (
        "values of {name} do not fit into {dtype}",
        "{name} 的数值超出 {dtype} 的范围",
    ),
    "gguf_range.fix": ("write it with --dtype f32", "请用 --dtype f32"),
    "adapter_kind": (
        "an adapter of the kind {method} cannot stand alone in {layout}",
        "{method} 类型的适配器不能单独用于 {layout}",
    ),
    "adapter_kind.fix": (
        "take --to merged or --to gguf, which work it into the weights",
        "请用 --to merged 或 --to gguf，把它并入权重",
    ),
    "adapter_place": (
        "llama.cpp has no place for an adapter on {module}",
        "llama.cpp 没有 {module} 上适配器的位置",
    ),
    "adapter_place.fix": ("take --to gguf without --adapter-only", "请用 --to gguf，不加 --adapter-only"),
    "vllm_patterns": (
        "this adapter has {names}, which vLLM does not read: it would scale some layers wrongly",
        "该适配器含有 {names}，vLLM 不读取它们，某些层的缩放会出错",
    ),
    "vllm_patterns.fix": ("take --to merged, and serve that folder", "请用 --to merged，再部署该文件夹"),
    "vllm_rank": ("rank {rank} is above what vLLM takes, {most}", "秩 {rank} 超过 vLLM 的上限 {most}"),
    "vllm_rank.fix": (
        "make it smaller with `lora-scripts adapters shrink`, or take --to merged",
        "请用 `lora-scripts adapters shrink` 压缩，或改用 --to merged",
    ),
    "ollama_system": (
        "a system prompt that ends with a quotation mark, or has three in a row, cannot stand in a Modelfile",
        "以引号结尾或含三个连续引号的系统提示不能写进 Modelfile",
    ),
    "ollama_system.fix": ("take --to gguf, and write the Modelfile by hand", "请用 --to gguf，并手写 Modelfile"),
    # lines on the way
    "asking": ("asking the adapter {count} sample questions …", "正在用 {count} 个样例问题询问适配器……"),
    "own_questions": (
        "the run keeps no sample questions, so a few general ones are asked",
        "训练结果中没有样例问题，改用几个通用问题",
    ),
    "no_provenance": (
        "{folder} has no provenance.json, so it is not known whether {base} is its base",
        "{folder} 没有 provenance.json，无法确认 {base} 是否是它的基础模型",
    ),
    "was_quantized": (
        "the adapter was trained on a base in {kind} and is exported for the unquantised one: answers can differ a "
        "little from those in training, since the base's rounding is gone",
        "适配器在 {kind} 底座上训练，导出后用于未量化的底座：底座的取整误差消失，回答可能与训练时略有不同",
    ),
    "compared": (
        "{questions} questions, {compared} of {total} answer tokens compared one by one",
        "{questions} 个问题，逐一核对了 {total} 个回答词元中的 {compared} 个",
    ),
    "near_ties": (
        "{count} answers part where the two likeliest words are within {bound:.2g} of each other, nearer than "
        "rounding; they are compared up to there",
        "{count} 个回答在两个最可能的词相差不到 {bound:.2g} 处分开，小于取整误差；只核对到该处",
    ),
    "faint": (
        "the adapter changes no logit by more than {effect:.2g}, and the bound is {bound:.2g}: this cannot tell the "
        "export from the bare base",
        "适配器对 logit 的改变不超过 {effect:.2g}，而容差是 {bound:.2g}：这项核对无法区分导出结果与原始底座",
    ),
    "split_differs": (
        "llama.cpp has no text splitter equal to this tokenizer's; written with {pre}, which gives other tokens for "
        "{count} of {total} trial texts, so answers to such texts can be worse there",
        "llama.cpp 没有与该分词器相同的切分规则；写为 {pre}，{total} 段试验文本中有 {count} 段词元不同，"
        "这类文本的回答可能变差",
    ),
    "kept_wide": (
        "{count} tensors stay in f16: their rows are no multiple of {block} values",
        "{count} 个张量保留为 f16：其行长不是 {block} 的倍数",
    ),
    "tokenizer_longer": (
        "{tokens} tokens, but only {rows} rows of embeddings",
        "有 {tokens} 个词元，但词嵌入只有 {rows} 行",
    ),
    "ollama_turns": (
        "the trained template takes one question only; a second one in Ollama follows without a mark",
        "训练所用的模板只接受一个问题；在 Ollama 中追问时，前后之间没有标记",
    ),
    "ollama_context": (
        "num_ctx is {chosen} to save memory; the base takes up to {longest}",
        "为节省内存，num_ctx 设为 {chosen}；底座最多支持 {longest}",
    ),
    # the end
    "check": ("{name}: {value:.3g} (bound {bound:.3g}) {verdict}", "{name}：{value:.3g}（界限 {bound:.3g}）{verdict}"),
    "ok": ("ok", "通过"),
    "failed": ("FAILED", "未通过"),
    "done": ("verified; the export is in {folder}", "核对通过；导出结果在 {folder}"),
    "not_verified": (
        "the export does not do what the adapter does: {failed}; it is kept as {folder} for a look",
        "导出结果与适配器不一致：{failed}；保留在 {folder} 供查看",
    ),
    "not_verified.fix": (
        "do not use it; take --to merged or peft, or for gguf --dtype f32; the checks are in its export.json",
        "请勿使用；可改用其他格式（merged 或 peft），gguf 可加 --dtype f32；核对结果见其中的 export.json",
    ),
}
