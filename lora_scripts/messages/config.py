"""Texts of the config room."""

_ALL_KEYS = ("rename it, or run `lora-scripts schema` for all keys", "改正键名；`lora-scripts schema` 列出所有键")
_YAML_PLAIN = (
    "write plain `key: value` lines; `lora-scripts schema` lists the keys",
    "写成普通的 `键: 值`；`lora-scripts schema` 列出所有键",
)
_EXAMPLE = (
    "write one `key: value` a line, such as `base_model: ./models/tiny-zh`; configs/ holds whole examples",
    "每行写一个 `键: 值`，例如 `base_model: ./models/tiny-zh`；configs/ 里有完整示例",
)
_SO = ("write the line so: `{line}`", "请改成这样一行：`{line}`")
_ONE_NAME = ("keep {real} and remove the other", "只保留 {real}，删去另一个")

TEXTS: dict[str, tuple[str, str]] = {
    # reading the file
    "no_file": ("there is no such config file", "没有这个配置文件"),
    "no_file.fix": (
        "check the path; it is relative to the folder you are in",
        "检查路径；相对路径从当前所在的文件夹算起",
    ),
    "is_folder": ("this is a folder; a config is one YAML file", "这是文件夹；配置应是一个 YAML 文件"),
    "is_folder.fix": ("name the .yaml file in it", "写出其中的 .yaml 文件"),
    "unreadable": ("the file cannot be read: {reason}", "文件无法读取：{reason}"),
    "unreadable.fix": ("check its name and permissions", "检查文件名和权限"),
    "too_large": (
        "{size} KiB is more than a config may have ({limit} KiB)",
        "文件有 {size} KiB，超过配置文件的上限 {limit} KiB",
    ),
    "too_large.fix": ("name the config, not the data", "请指定配置文件，而不是数据文件"),
    "too_many": ("more than {limit} values; a config has fewer", "超过 {limit} 个值；配置文件不会有这么多"),
    "too_many.fix": ("name the config, not the data", "请指定配置文件，而不是数据文件"),
    "binary": ("this is not a text file", "这不是文本文件"),
    "binary.fix": ("name a YAML file, saved as UTF-8", "请指定以 UTF-8 保存的 YAML 文件"),
    "encoding": (
        "{name} is read as {encoding}; UTF-8 is the usual encoding",
        "{name} 按 {encoding} 读取；通常应为 UTF-8",
    ),
    "empty": ("the config is empty", "配置是空的"),
    "empty.fix": _EXAMPLE,
    "not_mapping": ("a config is `key: value` lines; this is {shape}", "配置应由 `键: 值` 组成；这里是{shape}"),
    "not_mapping.fix": _EXAMPLE,
    "shape_list": ("a list", "列表"),
    "shape_text": ("one piece of text", "一段文字"),
    "two_documents": (
        "a second document starts here; one config is one document",
        "这里开始了第二个文档；配置只能有一个",
    ),
    "two_documents.fix": ("remove the `---` or split the file", "删去 `---`，或分成两个文件"),
    "syntax": ("YAML cannot read `{row}` ({reason})", "YAML 读不懂 `{row}`（{reason}）"),
    "syntax.fix": (
        "write `key: value`; put a text that holds `: `, `#` or quotes between single quotes",
        "写成 `键: 值`；含有 `: `、`#` 或引号的文字请用单引号括起来",
    ),
    "tab": ("a tab; YAML wants spaces", "这里有制表符；YAML 只接受空格"),
    "tab.fix": (
        "replace the tab by spaces, and start a key at the beginning of its line",
        "把制表符换成空格，键从行首写起",
    ),
    # slips of the keyboard
    "slip_tab": ("a tab beside {name}; YAML wants spaces", "{name} 旁有制表符；YAML 只接受空格"),
    "slip_tab.fix": _SO,
    "slip_wide_space": (
        "an ideographic (full-width) or other special space beside {name}; YAML takes it for a letter",
        "{name} 旁有全角空格（或其他特殊空格）；YAML 会把它当作文字",
    ),
    "slip_wide_space.fix": _SO,
    "slip_wide_colon": ("{name} is followed by a full-width colon", "{name} 后面是全角冒号"),
    "slip_wide_colon.fix": _SO,
    "slip_no_space": ("no space after `{name}:`", "`{name}:` 后面缺少空格"),
    "slip_no_space.fix": _SO,
    "slip_quotes": (
        "the value of {name} stands between Chinese quotes, which YAML takes for a part of it",
        "{name} 的值用了中文引号，YAML 会把引号当作内容",
    ),
    "slip_quotes.fix": _SO,
    "slip_backslash": (
        "the backslashes of a Windows path between double quotes: YAML takes them for escapes, \\n for a line break",
        "双引号中的 Windows 路径含反斜杠：YAML 会把它当作转义，例如 \\n 成了换行",
    ),
    "slip_backslash.fix": _SO,
    "slip_tilde": ("`~` alone means empty in YAML", "单独的 `~` 在 YAML 中表示空值"),
    "slip_tilde.fix": (
        "write the path of the folder, such as `{name}: ./FOLDER`",
        "请写文件夹的路径，例如 `{name}: ./文件夹`",
    ),
    "slip_home": (
        "{name}: `~` in {value} is the home folder, and there is no {path}",
        "{name}：{value} 中的 `~` 是主目录，而 {path} 不存在",
    ),
    "slip_home.fix": (
        "write the whole path, such as `{line}`, or correct it",
        "请写出完整路径，例如 `{line}`，或改正它",
    ),
    "home": ("{name}: {value} is read as {path}", "{name}: {value} 读作 {path}"),
    "tag": ("a YAML tag ({tag}) is not allowed", "不允许使用 YAML 标签（{tag}）"),
    "tag.fix": _YAML_PLAIN,
    "anchor": ("YAML anchors and references ({name}) are not allowed", "不允许使用 YAML 锚点和引用（{name}）"),
    "anchor.fix": (
        "write the value itself; put a text that starts with & or * between quotes",
        "直接写出值；以 & 或 * 开头的文字请加引号",
    ),
    "too_deep": ("lists or mappings more than {limit} deep", "列表或映射嵌套超过 {limit} 层"),
    "too_deep.fix": _YAML_PLAIN,
    "key_shape": ("a key must be one word", "键必须是一个词"),
    "key_shape.fix": _YAML_PLAIN,
    "duplicate": ("{name} stands here a second time (first at line {first})", "{name} 重复出现（首次在第 {first} 行）"),
    "duplicate.fix": ("keep one of the two lines", "两行只保留一行"),
    # keys
    "unknown": ("{name} is not a key", "{name} 不是已知的键"),
    "unknown.fix": ("remove it, or run `lora-scripts schema` for all keys", "删去它；`lora-scripts schema` 列出所有键"),
    "unknown_near": ("{name} is not a key (did you mean {near}?)", "{name} 不是已知的键（是否想写 {near}？）"),
    "unknown_near.fix": _ALL_KEYS,
    "inner_key": ("{name} has no {inner}; it takes {choices}", "{name} 里没有 {inner}；可用的是 {choices}"),
    "inner_key.fix": ("rename or remove {inner}", "改名或删去 {inner}"),
    "missing": ("{name} is missing", "缺少 {name}"),
    "missing.fix": ("add a line `{name}: …`", "加一行 `{name}: …`"),
    "missing_data": (
        "train_data_dir is missing (or metadata_path, for one CSV file)",
        "缺少 train_data_dir（或 metadata_path，指定一个 CSV 文件）",
    ),
    "missing_data.fix": ("add a line `train_data_dir: FOLDER`", "加一行 `train_data_dir: 文件夹`"),
    "both_names": ("{name} and {other} ({line}) are both {real}", "{name} 与 {other}（{line}）都是 {real}"),
    "both_names.fix": _ONE_NAME,
    "switched_off": ("{name}: false contradicts {real}: {value}", "{name}: false 与 {real}: {value} 矛盾"),
    "switched_off.fix": _ONE_NAME,
    # values
    "wrong_type": ("{name}: {value} is not {kind}", "{name}: {value} 不是 {kind}"),
    "wrong_type.fix": ("write {kind} after `{name}:`", "在 `{name}:` 后写 {kind}"),
    "quoted": ('{name}: "{value}" is text, because of its quotes', '{name}: "{value}" 因为有引号而成了文字'),
    "quoted.fix": ("write {kind} without quotes", "写 {kind}，不加引号"),
    "whole": ("a whole number", "整数"),
    "number": ("a number", "数字"),
    "bool": ("true or false", "true 或 false"),
    "text": ("text", "文字"),
    "list": ("a list of texts", "文字列表"),
    "mapping": ("a mapping of names to texts", "名称到文字的映射"),
    "out_of_range": ("{name}: {value} is out of range ({range})", "{name}: {value} 超出范围（{range}）"),
    "out_of_range.fix": ("write a number with {range}", "写一个满足 {range} 的数"),
    "choice": ("{name}: {value} is not one of {choices}", "{name}: {value} 不在可选值 {choices} 之中"),
    "choice.fix": ("write one of {choices}", "写 {choices} 之一"),
    "choice_near": (
        "{name}: {value} is not one of {choices} (did you mean {near}?)",
        "{name}: {value} 不在可选值 {choices} 之中（是否想写 {near}？）",
    ),
    "choice_near.fix": ("write `{name}: {near}`", "写 `{name}: {near}`"),
    "empty_value": ("{name} holds an empty text", "{name} 中有空文字"),
    "empty_value.fix": (
        "write a value; leave the line empty after the colon for the default",
        "写上值；冒号后留空则取默认值",
    ),
    "bad_pattern": (
        "{name}: `{value}` is not a regular expression ({reason})",
        "{name}: `{value}` 不是正则表达式（{reason}）",
    ),
    "bad_pattern.fix": (
        "put a backslash before a sign that stands for itself, and the pattern between single quotes",
        "表示字面的符号前加反斜杠，整个表达式用单引号括起来",
    ),
    # between keys
    "stop_without_validation": (
        "early_stopping_patience needs validation, and eval_ratio is 0 without eval_data",
        "early_stopping_patience 需要验证，但 eval_ratio 为 0 且没有 eval_data",
    ),
    "stop_without_validation.fix": (
        "set eval_ratio above 0, name eval_data, or remove early_stopping_patience",
        "把 eval_ratio 设为大于 0，或填写 eval_data，或删去 early_stopping_patience",
    ),
    "overwrite_and_resume": (
        "overwrite: true starts anew, resume_from_checkpoint: auto goes on: not both",
        "overwrite: true 是重新开始，resume_from_checkpoint: auto 是继续：不能同时用",
    ),
    "overwrite_and_resume.fix": ("keep one of the two", "二者只留其一"),
    "eval_is_train": ("eval_data ({path}) is the training data", "eval_data（{path}）就是训练数据"),
    "eval_is_train.fix": (
        "name other data, or remove eval_data: eval_ratio sets some records aside",
        "换成别的数据，或删去 eval_data：eval_ratio 会自动划分",
    ),
    "output_in_data": (
        "output_dir ({path}) lies in the training data ({data}); its files would be read as records",
        "output_dir（{path}）在训练数据（{data}）之内；产物会被当作数据读取",
    ),
    "output_in_data.fix": ("choose a folder outside, such as ./output/NAME", "换一个外面的文件夹，例如 ./output/名称"),
    "output_is_base": ("output_dir ({path}) is the base model's folder", "output_dir（{path}）就是基础模型的文件夹"),
    "output_is_base.fix": ("choose another folder, such as ./output/NAME", "换一个文件夹，例如 ./output/名称"),
    "role_twice": ("roles: {name} is both {first} and {second}", "roles: {name} 既是 {first} 又是 {second}"),
    "role_twice.fix": ("give each name one role", "每个名字只能有一个角色"),
    # command line
    "command_line": ("command line", "命令行"),
    "not_override": ("{word} is not of the form key=value", "{word} 不是 键=值 的形式"),
    "not_override.fix": ("write for example `epochs=5`, without spaces around =", "例如 `epochs=5`，等号两边不留空格"),
    "twice": ("{name} is given twice", "{name} 给了两次"),
    "twice.fix": ("keep one of the two", "二者只留其一"),
    # lines to print
    "alias": ("{name} is read as {real}", "{name} 读作 {real}"),
    "alias_value": ("{name}: {value} is read as {real}: {meant}", "{name}: {value} 读作 {real}: {meant}"),
    "override": ("{name}: {value} from the command line", "{name}: {value} 来自命令行"),
    "override_replaces": (
        "{name}: {value} from the command line, instead of {before} ({line})",
        "{name}: {value} 来自命令行，替换 {before}（{line}）",
    ),
    "override_resets": (
        "{name} is back at its default by the command line, instead of {before} ({line})",
        "命令行将 {name} 恢复为默认值，替换 {before}（{line}）",
    ),
    "no_effect": ("{name} has no effect: {reason}", "{name} 不起作用：{reason}"),
    "because_is": ("{name} is {value}", "{name} 为 {value}"),
    "because_not_set": ("{name} is not set", "未设置 {name}"),
    "shard_and_quantization": (
        "a quantised base cannot be spread over cards: shard and quantization exclude each other",
        "量化后的基础模型无法分摊到多卡：shard 与 quantization 不能同时使用",
    ),
    "shard_and_quantization.fix": (
        "leave one of the two out; a quantised base often fits on one card",
        "请去掉其中一项；量化后的基础模型往往单卡就放得下",
    ),
    "shard_and_preference": (
        "shard is for task_type: text-generation",
        "shard 只用于 task_type: text-generation",
    ),
    "shard_and_preference.fix": (
        "leave shard out; quantization makes a large base fit on one card",
        "请去掉 shard；用 quantization 可让较大的基础模型放进单卡",
    ),
    "folds_and_preference": (
        "folds is for task_type: text-generation",
        "folds 只用于 task_type: text-generation",
    ),
    "folds_and_preference.fix": ("leave folds out", "请去掉 folds"),
    "words_only": (
        "{name}: {value} is for texts, not for task_type: image-generation",
        "{name}: {value} 只用于文本，不用于 task_type: image-generation",
    ),
    "words_only.fix": ("leave {name} out", "请去掉 {name}"),
    "because_set": ("{name} is set", "已设置 {name}"),
    "because_no_validation": (
        "nothing is validated (eval_ratio is 0, no eval_data)",
        "不做验证（eval_ratio 为 0，且无 eval_data）",
    ),
    "only_at_end": (
        "{name}: {value} is more than the {steps} steps of this run: only at the end",
        "{name}: {value} 超过本次的 {steps} 步：只在结束时进行",
    ),
    "dump_header": (
        "# The resolved config of a run. `lora-scripts train` with this file repeats it.\n",
        "# 一次训练的完整配置。用 `lora-scripts train` 加本文件可重复这次训练。\n",
    ),
}
