"""Texts of the rendering room."""

TEXTS: dict[str, tuple[str, str]] = {
    "empty_answer": (
        "an assistant's turn is empty, so there is nothing to learn from it",
        "助手的回答为空，没有可学习的内容",
    ),
    "empty_answer.fix": ("give the answer, or take the record out", "补上回答，或删去这条记录"),
    "no_rejected": (
        "the record has no rejected answer, so there is nothing to prefer",
        "记录里没有较差的答案，无从比较",
    ),
    "no_rejected.fix": ("give the rejected answer, or take the record out", "补上较差的答案，或删去这条记录"),
    "no_answer": (
        "the conversation has no assistant's turn, so nothing of it would be learned",
        "对话里没有助手的回答，没有可学习的内容",
    ),
    "no_answer.fix": ("add the answer, or take the record out", "补上回答，或删去这条记录"),
    "no_question": (
        "the conversation must open with a user's turn (after the system prompt), but opens with {role}",
        "对话（在系统提示之后）必须以用户开头，这里却是 {role}",
    ),
    "no_question.fix": ("put the user's question before it", "在前面补上用户的问题"),
    "late_system": (
        "a system prompt stands in the middle of the conversation (turn {turn})",
        "系统提示出现在对话中间（第 {turn} 条）",
    ),
    "late_system.fix": ("move it to the front", "把它移到最前面"),
    "unknown_role": (
        "role {role} is not system, user or assistant",
        "角色 {role} 不是 system、user 或 assistant",
    ),
    "unknown_role.fix": (
        "rename it in the file, or name the columns or roles in the config",
        "在文件里改名，或在配置里指明列名或角色",
    ),
    "prompt_ends": (
        "a prompt must end with the user's turn, but ends with {role}",
        "提示必须以用户的话结尾，这里却以 {role} 结尾",
    ),
    "prompt_ends.fix": ("send the user's question last", "把用户的问题放在最后"),
    "too_long": (
        "the document has {length} tokens, more than max_seq_length {limit}",
        "文档有 {length} 个词元，超过 max_seq_length {limit}",
    ),
    "too_long.fix": (
        "set max_seq_length to {length} or more, or choose too_long: drop or too_long: cut_prompt",
        "把 max_seq_length 设为 {length} 或更大，或选择 too_long: drop、too_long: cut_prompt",
    ),
    "bad_policy": (
        "too_long is {policy}, which is none of stop, drop, cut_prompt",
        "too_long 的值 {policy} 不是 stop、drop、cut_prompt 之一",
    ),
    "no_end": (
        "the tokenizer has neither <|im_end|> nor an end-of-sequence token, so no answer could ever end",
        "分词器既没有 <|im_end|> 也没有结束符，回答将无法停止",
    ),
    "no_end.fix": ("set eos_token in tokenizer_config.json", "在 tokenizer_config.json 里设置 eos_token"),
    "one_turn_only": (
        "the base's chat template takes one question and one answer, but this conversation has {turns} questions",
        "基座模型的对话模板只支持一问一答，这段对话却有 {turns} 个问题",
    ),
    "one_turn_only.fix": ("split the conversation into single pairs", "把对话拆成单个问答"),
    "control_tokens": (
        "the text would put {found} control tokens where its turns need {expected}",
        "文本会产生 {found} 个控制符，而各轮只需要 {expected} 个",
    ),
    "control_tokens.fix": (
        "take the words that look like the model's own markers out of the text",
        "删去文本中与模型控制符相同的字样",
    ),
    "note_fallback": (
        "the tokenizer has no chat template: ChatML is used and saved with the adapter",
        "分词器没有对话模板：使用 ChatML，并随适配器一起保存",
    ),
    "note_fallback_eos": (
        "the tokenizer has no chat template and no ChatML tokens: ChatML is spelled as text, each turn ends "
        "with {eos}; the template is saved with the adapter",
        "分词器没有对话模板，也没有 ChatML 词元：ChatML 按普通文本书写，每轮以 {eos} 结束；模板随适配器一起保存",
    ),
    "note_broken": (
        "the tokenizer's chat template cannot be used ({reason}): ChatML is used instead",
        "分词器的对话模板无法使用（{reason}）：改用 ChatML",
    ),
    "reason_question": ("it loses the question or the answer", "它会丢掉问题或回答"),
    "note_no_end": (
        "the chat template never ends an answer: {eos} is put after each one; the template so changed is saved "
        "with the adapter",
        "对话模板没有回答的结束符：在每个回答后加上 {eos}；改过的模板随适配器一起保存",
    ),
    "note_system_merged": (
        "the chat template has no place for a system prompt: it goes before the first question, in training "
        "and in chat; the template saved with the adapter does so",
        "对话模板没有系统提示的位置：训练和对话时都放在第一个问题之前，随适配器保存的模板也是如此",
    ),
    "note_steady": (
        "the chat template writes an answer differently in history or by an option; here every answer opens the "
        "same way ({ask}), in training and in chat, and the template saved with the adapter does so",
        "对话模板在历史轮次或按选项会有不同写法；这里训练和对话时每个回答的开头都一样（{ask}），随适配器保存的模板也是如此",
    ),
    "note_dated": (
        "the chat template writes the day's date: the template saved with the adapter keeps the day of this run",
        "对话模板会写入当天日期：随适配器保存的模板固定为本次运行的日期",
    ),
    "note_joined": (
        "{count} record(s) hold several turns of one role in a row: they are joined by a line break",
        "{count} 条记录中同一角色连续发言：已用换行合并",
    ),
    "note_trailing": (
        "{count} record(s) end with a question that nobody answers: that question is not in the document",
        "{count} 条记录以没有回答的问题结尾：该问题不进入文档",
    ),
    "note_markers": (
        "{count} record(s) hold text that looks like the model's control tokens: it is read as plain text",
        "{count} 条记录含有与模型控制符相同的字样：已按普通文本处理",
    ),
    "note_thinking": (
        "{count} record(s) hold a thinking block in the answer, but answers are trained with thinking off: the block "
        "is learned as part of the answer",
        "{count} 条记录的回答里有思考块，而训练时关闭思考：思考块会作为回答的一部分来学习",
    ),
}
