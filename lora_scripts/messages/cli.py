"""What the command says about itself, and what it says when it is called wrongly."""

TEXTS: dict[str, tuple[str, str]] = {
    "app": (
        "Question/answer files and one short YAML file in, a proven LoRA adapter out.",
        "给出问答文件和一个简短的 YAML 配置，得到经过验证的 LoRA 适配器。",
    ),
    "base": ("Get and unpack base models.", "获取和解包基础模型。"),
    "overrides": ("config keys that win over the file", "覆盖配置文件的键"),
    "words": ("the config file, then keys that win over it", "配置文件，以及覆盖其内容的键"),
    "train": ("Train, from files to a proven adapter.", "训练：从数据文件到经过验证的适配器。"),
    "config": ("the YAML file of the run", "训练配置（YAML 文件）"),
    "dry_run": ("print config, ledger and plan, and stop", "只打印配置、数据账目和计划"),
    "strict": ("refuse a device or precision that must be replaced", "设备或精度需要替换时直接报错"),
    "check": ("Read data and account for every row; needs no model.", "读取数据并逐条核对；不需要模型。"),
    "check_paths": ("configs, data files or folders", "配置、数据文件或文件夹"),
    "json": ("print JSON", "输出 JSON"),
    "report_dir": ("where data_report.json and .html go", "data_report.json 和 .html 的存放处"),
    "report_in": ("the whole report: {folder}/data_report.html", "完整报告：{folder}/data_report.html"),
    "desensitize": (
        "Copy files without personal data, in the same format and encoding.",
        "复制文件并去除个人信息，格式和编码不变。",
    ),
    "desensitize_source": ("a file or folder", "文件或文件夹"),
    "new_target": ("what is written; must not exist yet", "要写入的位置；不能已经存在"),
    "desensitize_mode": (
        "mask, pseudonym (key: LORA_SCRIPTS_PSEUDONYM_KEY) or drop",
        "mask 打码、pseudonym 假名（密钥：LORA_SCRIPTS_PSEUDONYM_KEY）或 drop 剔除",
    ),
    "desensitize_types": (
        "kinds of personal data, with commas, or all; without it the ten that training masks",
        "个人信息种类（如 身份证,手机号 或 id_card,phone），逗号分隔，或 all；不给则为训练时打码的十种",
    ),
    "desensitize_list": (
        "a new file that gets what was found, with the values, for approval (readable by you only)",
        "新文件：列出发现的内容（含原值）供核对，仅本人可读",
    ),
    "desensitize_listed": (
        "what was found, with the values: {path}; delete it when it is approved",
        "发现的内容（含原值）：{path}；核对后请删除",
    ),
    "found_type": ("{type}: {count}", "{type}：{count}"),
    "random_key": (
        "no LORA_SCRIPTS_PSEUDONYM_KEY is set: another copy will get other pseudonyms for the same values",
        "未设置 LORA_SCRIPTS_PSEUDONYM_KEY：另做一份副本时，同样的值会得到不同的假名",
    ),
    "found_nothing": ("no personal data found", "没有发现个人信息"),
    "desensitized_in": ("the copy is in {path}", "副本在 {path}"),
    "augment": (
        "Write more ways to ask what the training records answer; answers are never changed.",
        "为训练记录写出更多问法；答案从不改动。",
    ),
    "per_record": ("variants wanted of each record", "每条记录希望的变体数"),
    "seed": ("another seed, other variants", "换一个种子，得到另一批变体"),
    "addressee": ("whom the asker may address, as Doctor; may be repeated", "提问时可用的称呼，如 律师；可重复"),
    "endpoint": (
        "ask this OpenAI-compatible server instead of the rules; key: LORA_SCRIPTS_API_KEY",
        "改由这个 OpenAI 兼容服务改写，不用规则；密钥：LORA_SCRIPTS_API_KEY",
    ),
    "endpoint_model": ("the model's name at the endpoint", "该服务上的模型名"),
    "augmented_in": (
        "written to {path}; put it beside the training data",
        "已写入 {path}；请与训练数据放在一起",
    ),
    "preview": ("Show records as the model sees them.", "按模型看到的样子显示记录。"),
    "preview_count": ("how many records", "显示几条"),
    "preview_legend": (
        "training records (those that validate are not shown); green is learned, grey is only read",
        "以下为训练记录（验证记录不显示）；绿色为学习内容，灰色只作上下文",
    ),
    "chat": ("Talk to a base model with its adapter.", "与加载适配器的模型对话。"),
    "adapter": ("an adapter; several are stacked, each with its weight", "适配器；可给多个，按权重叠加"),
    "prompt": ("one question; without it a conversation begins", "单个问题；不给则进入对话"),
    "base_model": ("the base folder, where it moved since training", "基础模型文件夹（训练后移动过时需要）"),
    "device": ("auto, cpu or cuda", "auto、cpu 或 cuda"),
    "max_new_tokens": ("longest answer in tokens", "回答的最大词元数"),
    "chat_opening": (
        "ask something; /help lists the commands, /save keeps a good answer, exit or quit ends",
        "请输入问题；/help 查看命令，/save 保存好的回答，输入 退出（或 exit、quit）结束",
    ),
    "chat_help": (
        "/save              keep the last question and answer as a training record\n"
        "/save BETTER WORDS the same with a better answer in place of the last one\n"
        "/new               begin a new conversation\n"
        "/adapter NAME      who answers: an adapter, a folder, or base for none; alone it lists them\n"
        "/stack A:1 B:0.5   several adapters with their weights\n"
        "/compare QUESTION  base and adapter side by side; alone it takes the last question\n"
        "exit, quit         end (also /quit, /exit, Ctrl-D)",
        "/save              把上一问和回答存为训练记录\n"
        "/save 更好的回答   同上，用更好的回答代替\n"
        "/new               开始新的对话\n"
        "/adapter 名称      由谁回答：适配器、文件夹，或 base（不加适配器）；不写名称则列出\n"
        "/stack A:1 B:0.5   多个适配器按权重叠加\n"
        "/compare 问题      对照基础模型与适配器；不写问题则用上一问\n"
        "退出               结束（也可用 exit、quit、/退出、/quit、Ctrl-D）",
    ),
    "chat_unknown": (
        "{word} is not a command; there are /adapter /stack /compare /new /save /help /quit",
        "没有 {word} 这个命令；可用 /adapter /stack /compare /new /save /help /退出",
    ),
    "chat_now": ("answering: {stack}", "当前：{stack}"),
    "no_such_adapter": ("no such adapter is loaded; there are {names}", "没有加载该适配器；已有 {names}"),
    "no_such_adapter.fix": ("name its folder: /adapter DIR", "请给出它的文件夹：/adapter DIR"),
    "nothing_to_compare": ("ask something first, or write /compare QUESTION", "请先提问，或输入 /compare 问题"),
    "too_long": (
        "the conversation has {count} tokens, more than fit into {limit} with an answer",
        "对话有 {count} 个词元，加上回答超过 {limit} 个",
    ),
    "too_long.fix": ("begin anew with /new", "请用 /new 重新开始"),
    "answer_failed": ("the answer failed: {reason}", "回答失败：{reason}"),
    "saved": (
        "the question and its answer are kept in {path}",
        "这一问一答已存入 {path}",
    ),
    "nothing_to_save": ("there is nothing to save yet", "还没有可保存的内容"),
    "no_provenance": (
        "{folder} has no provenance.json, so it is not known whether this is its base",
        "{folder} 没有 provenance.json，无法确认这是否是它的基础模型",
    ),
    "other_base": (
        "this adapter was trained on another base than {base}, or the base was changed since",
        "该适配器不是在 {base} 上训练的，或基础模型已被改动",
    ),
    "other_base.fix": (
        "name the folder of its base with --base-model",
        "请用 --base-model 指定它的基础模型文件夹",
    ),
    "bad_weight": ("{weight} is not a weight", "{weight} 不是有效的权重"),
    "bad_weight.fix": ("write DIR:0.5, or only DIR", "请写成 DIR:0.5，或只写 DIR"),
    "eval": ("Compare base and adapter on held-out records.", "在验证记录上比较基础模型与适配器。"),
    "eval_run": ("a config, or the output folder of a run", "配置文件或训练输出文件夹"),
    "schema": ("Print the JSON schema of the config.", "打印配置的 JSON schema。"),
    "base_get": ("Fetch a base model into models/.", "获取基础模型到 models/。"),
    "base_name": ("a name of the table, or ORG/NAME of a hub", "内置名称，或模型站上的 ORG/NAME"),
    "base_from": ("huggingface or modelscope", "huggingface 或 modelscope"),
    "models_dir": ("the folder that base models are kept in", "存放基础模型的文件夹"),
    "base_in": ("the base model is in {folder}", "基础模型在 {folder}"),
    "base_spoke": ("loaded back, it says: {sentence}", "重新加载后生成：{sentence}"),
    "base_unpack": ("Make a Hugging Face folder of a GGUF file.", "把 GGUF 文件解包为 Hugging Face 文件夹。"),
    "gguf_file": ("the GGUF file", "GGUF 文件"),
    "new_folder": ("the folder to make", "要生成的文件夹"),
    "after_export": ("{file} says how it is loaded and used", "加载和使用方法见 {file}"),
    "after_schema": (
        "lora-scripts init DIR writes a config for your files",
        "lora-scripts init DIR 可为你的数据写出配置",
    ),
    "after_base": (
        "put `base_model: {folder}` into your config, or run lora-scripts init DIR --base-model {folder}",
        "在配置中写 `base_model: {folder}`，或运行 lora-scripts init DIR --base-model {folder}",
    ),
    "after_no_adapter": ("lora-scripts init DIR begins with your files", "用 lora-scripts init DIR 从你的数据开始"),
    "after_pictures": (
        "lora-scripts init DIR writes a config for pictures of your own",
        "用 lora-scripts init DIR 可为你自己的图片写出配置",
    ),
    "next": ("next: {command}", "下一步：{command}"),
    "what_to_do": ("fix: {words}", "办法：{words}"),
    "no_config": ("no config was given", "没有给出配置文件"),
    "no_config.fix": (
        "lora-scripts train configs/law_qa.yaml",
        "lora-scripts train configs/law_qa.yaml",
    ),
    "interrupted": ("stopped", "已停止"),
    "system": ("{where}: {reason}", "{where}：{reason}"),
    "adapters": ("look into adapters, make them smaller", "查看适配器、压缩其秩"),
    "sweep": (
        "search for the rank, rate, epochs and layers with the lowest validation loss",
        "搜索验证损失最低的秩、学习率、轮数与目标层",
    ),
    "trials": ("trainings in all, those of an earlier call among them", "试验总数，含此前已完成的"),
    "sweep_output": (
        "folder of the search (default: output_dir with _sweep)",
        "搜索结果文件夹（默认：output_dir 加 _sweep）",
    ),
    "shrink": (
        "write an adapter at a lower rank, its error and loss measured",
        "把适配器压到更低的秩，并测出误差与损失",
    ),
    "shrink_source": ("a run or an adapter's folder", "训练结果或适配器的文件夹"),
    "shrink_rank": ("rank of the new adapter", "新适配器的秩"),
    "shrink_energy": (
        "in place of a rank: the share of each layer's change that stays, 0 to 1",
        "不指定秩时：每层变化保留的比例，0 到 1",
    ),
    "inspect": ("what an adapter is and how much of its rank it uses", "适配器的构成，以及秩用了多少"),
    "inspect_folder": ("an adapter's folder", "适配器文件夹"),
    "from_sheet": (
        "a sheet that was filled in: its corrected answers become training records in RUN/corrections.jsonl; with "
        "--output its ticks and corrections become preference data",
        "已填写的对照表：改正的回答写成训练记录 RUN/corrections.jsonl；加 --output 则把勾选与改正转成偏好数据",
    ),
    "sheet_output": ("where preference data go", "偏好数据的输出文件"),
    "sheet_and_output": ("--output needs --from-sheet", "--output 须与 --from-sheet 同时给出"),
    "sheet_and_output.fix": (
        "write: lora-scripts eval RUN --from-sheet RUN/eval.md --output preferences.jsonl",
        "请写：lora-scripts eval RUN --from-sheet RUN/eval.md --output preferences.jsonl",
    ),
    "preferences_in": ("{count} preferences in {path}", "{count} 条偏好数据已写入 {path}"),
    # serve
    "serve": (
        "Serve one base model and its adapters over HTTP, with OpenAI's routes.",
        "通过 HTTP（OpenAI 接口）提供一个基础模型及其适配器。",
    ),
    "serve_config": ("serve.yaml, see docs/serving.md", "serve.yaml，见 docs/serving.md"),
    "serve_base": ("folder of the base model", "基础模型所在的文件夹"),
    "serve_adapter": ("an adapter and its name", "适配器及其名称"),
    "adapter_root": (
        "folder below which adapters may be loaded while serving",
        "服务期间可加载的适配器所在的文件夹",
    ),
    "host": (
        "address to listen on, 127.0.0.1 unless told otherwise; another needs LORA_SCRIPTS_API_KEY",
        "监听地址，默认 127.0.0.1；其他地址需要设置 LORA_SCRIPTS_API_KEY",
    ),
    "port": ("port, 8000 unless told otherwise; 0 takes a free one", "端口，默认 8000；0 表示使用空闲端口"),
    "engine": ("auto, paged, simple or vllm", "auto、paged、simple 或 vllm"),
    "write_cluster": (
        "do not serve: write files that start this on Kubernetes, and vLLM on Ray Serve",
        "不启动服务：写出在 Kubernetes 上启动它、在 Ray Serve 上启动 vLLM 的文件",
    ),
    "bad_adapter": ("an adapter is given as NAME=DIR", "适配器应写作 NAME=DIR"),
    "bad_adapter.fix": (
        "for example --adapter law=output/law_lora",
        "例如 --adapter law=output/law_lora",
    ),
    "label": (
        "Rank tags for a folder of pictures by CLIP; writes metadata.csv and a sheet to look over.",
        "用 CLIP 为文件夹中的图片排选标签；写出 metadata.csv 和便于浏览检查的页面。",
    ),
    "label_folder": ("folder of pictures, searched through", "图片文件夹，含子文件夹"),
    "label_output": ("the table; else metadata.csv in the folder", "输出的表格；不填则为该文件夹中的 metadata.csv"),
    "clip_model": ("folder of a CLIP model", "CLIP 模型所在的文件夹"),
    "label_tags": ("a file of more tags; can be given several times", "更多标签的文件；可多次给出"),
    "label_threshold": ("least probability of a tag among those of its kind", "标签在同类中的最低概率"),
    "label_max_tags": ("most tags for one picture", "每张图片最多的标签数"),
    "label_undesired": ("tags that are never given, with commas", "不使用的标签，逗号分隔"),
    "label_replace": ("another word for a tag; can be given several times", "替换某个标签的词；可多次给出"),
    "label_prefix": ("what every caption begins with, as a trigger word", "每条描述开头的词，例如触发词"),
    "label_chinese": ("tags in Chinese", "使用中文标签"),
    "label_overwrite": ("label again what has a line already", "已有文字的图片也重新标注"),
}
