"""Texts of the guardrails: the rule file, what is said when rules change, words that a user of the server reads."""

_RULE = (
    "a rule has one of words/word_list, pattern, pii, require, length; and on, action, text (docs/guardrails.md)",
    "每条规则含 words/word_list、pattern、pii、require、length 之一，以及 on、action、text（见 docs/guardrails.md）",
)

TEXTS: dict[str, tuple[str, str]] = {
    # what a user of the server reads, unless the rules say otherwise
    "refusal": ("Sorry, I cannot help with that.", "抱歉，这个问题我无法回答。"),
    # the server's log
    "too_slow": (
        "guardrails: the pattern of {name} ran out of time, so the text was refused",
        "安全规则：{name} 的正则匹配超时，该文本已被拒绝",
    ),
    "kept_old": (
        "guardrails: the changed rules are wrong, so the old ones (version {version}) stay in force: {reason}",
        "安全规则：修改后的规则有误，旧规则（版本 {version}）继续生效：{reason}",
    ),
    "reloaded": (
        "guardrails: version {version} replaces {before} ({count} rules)",
        "安全规则：版本 {version} 取代 {before}（{count} 条规则）",
    ),
    "label_incomplete": (
        "{where}: the label should name AI and say that the content was generated, as GB 45438-2025 asks",
        "{where}：按 GB 45438-2025，标识应包含“人工智能”或“AI”，以及“生成”或“合成”",
    ),
    # the rule file
    "no_file": ("there is no such file", "没有这个文件"),
    "no_file.fix": (
        "paths in a rule file are relative to its own folder; this looked at {path}",
        "规则文件中的路径相对于规则文件所在的文件夹；此处查找的是 {path}",
    ),
    "unreadable": ("{path} cannot be read: {reason}", "无法读取 {path}：{reason}"),
    "unreadable.fix": ("check its name and permissions", "检查文件名和权限"),
    "unknown_key": ("{name} is not a key here; the keys are {known}", "{name} 不是此处的键；可用的键是 {known}"),
    "unknown_key.fix": ("rename or remove it", "改名或删去"),
    "unknown_key_near": (
        "{name} is not a key here (did you mean {near}?)",
        "{name} 不是此处的键（是否想写 {near}？）",
    ),
    "unknown_key_near.fix": ("rename or remove it", "改名或删去"),
    "choice": ("{name}: {value} is none of {choices}", "{name}: {value} 不在可选值之内：{choices}"),
    "choice.fix": ("take one of them", "从中选一个"),
    "choice_near": (
        "{name}: {value} is none of {choices} (did you mean {near}?)",
        "{name}: {value} 不在可选值之内：{choices}（是否想写 {near}？）",
    ),
    "choice_near.fix": ("take one of them", "从中选一个"),
    "not_text": ("{name} must be a text", "{name} 应为文字"),
    "not_text.fix": ("write one line of text after `{name}:`", "在 `{name}:` 后写一行文字"),
    "not_texts": ("{name} must be a text or a list of texts", "{name} 应为文字或文字列表"),
    "not_texts.fix": ("write a text, or a list in brackets", "写一段文字，或用方括号写成列表"),
    "not_mapping": ("{name} must hold `key: value` lines", "{name} 下应为 `键: 值`"),
    "not_mapping.fix": _RULE,
    "no_rules": ("it holds no rules", "没有任何规则"),
    "no_rules.fix": ("write them below `rules:`, each with a name", "写在 `rules:` 之下，每条有自己的名称"),
    "no_kind": ("the rule {name} does not say what it looks for", "规则 {name} 没有说明检查什么"),
    "no_kind.fix": _RULE,
    "two_kinds": ("the rule {name} has {kinds}; a rule looks for one", "规则 {name} 同时有 {kinds}；一条规则只查一种"),
    "two_kinds.fix": ("make two rules of it", "拆成两条规则"),
    "no_action": ("the rule {name} does not say what to do", "规则 {name} 没有说明如何处理"),
    "no_action.fix": ("add `action:` with one of {choices}", "加一行 `action:`，取 {choices} 之一"),
    "no_text": ("the rule {name} lacks the words for {action}", "规则 {name} 缺少 {action} 所用的文字"),
    "no_text.fix": ("add a line `text: …`", "加一行 `text: …`"),
    "text_unused": ("text has no effect with {action}", "text 对 {action} 不起作用"),
    "text_unused.fix": ("remove it", "删去"),
    "append_to_input": ("nothing can be appended to an input", "无法在输入之后追加文字"),
    "append_to_input.fix": ("write `on: output`", "写成 `on: output`"),
    "length": (
        "length takes min and max, whole numbers of characters from 1 on, min not above max",
        "length 取 min 和 max，均为不小于 1 的整数（字符数），且 min 不大于 max",
    ),
    "length.fix": ("write for example `length: {{max: 4000}}`", "例如写成 `length: {{max: 4000}}`"),
    "pattern_syntax": ("{pattern} is no regular expression: {odd}", "{pattern} 不是有效的正则表达式：{odd}"),
    "pattern_syntax.fix": ("correct it; put it in single quotes", "请修改；并用单引号括起来"),
    "pattern_construct": (
        "{pattern} uses {odd}, which cannot be judged while a text is still coming",
        "{pattern} 用到了 {odd}，在文本尚未到齐时无法判断",
    ),
    "pattern_construct.fix": ("write it without", "换一种写法"),
    "pattern_empty": ("{pattern} matches where nothing is{odd}", "{pattern} 能匹配空文本{odd}"),
    "pattern_empty.fix": ("make it want at least one character", "至少要求一个字符"),
    "pattern_slow": ("{pattern} takes too long{odd}", "{pattern} 耗时过长{odd}"),
    "pattern_slow.fix": ("write it without nested repetition", "避免嵌套的重复"),
    "word_empty": ("{word} holds nothing that could be looked for", "{word} 中没有可以查找的内容"),
    "word_empty.fix": ("a word needs a letter, a figure or a character", "词语至少要有一个字母、数字或汉字"),
    "list_empty": ("the word list is empty", "词表是空的"),
    "list_empty.fix": (
        "write one word a line; lines that begin with # are passed over",
        "每行一个词；以 # 开头的行会跳过",
    ),
    "own_words": (
        "{name} itself holds a word that may not leave",
        "{name} 本身含有禁止输出的词语",
    ),
    "own_words.fix": ("say it in other words", "换一种说法"),
}
