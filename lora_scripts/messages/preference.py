"""Texts of preference data: two answers to one question, a chosen and a rejected one."""

TEXTS: dict[str, tuple[str, str]] = {
    "unwanted": (
        "this is preference data: a chosen and a rejected answer to each question; it is not learned as question and "
        "answer",
        "这是偏好数据：每个问题有一个较好和一个较差的答案，不能当作问答来学",
    ),
    "unwanted.fix": (
        "set task_type: preference to train on the pairs (DPO), or give question/answer data",
        "设置 task_type: preference 即可用答案对训练（DPO），或换成问答数据",
    ),
    "marked_answers": (
        "this is preference data of single answers with marks (KTO; keys: {keys}), which is not trained",
        "这是给单个答案打分的偏好数据（KTO；键：{keys}），暂不支持训练",
    ),
    "marked_answers.fix": (
        "put a good and a bad answer to one question into one row (question, chosen, rejected) and set task_type: "
        "preference, or give question/answer data",
        "把同一问题的好答案和差答案放在一行（question、chosen、rejected）并设置 task_type: preference，或换成问答数据",
    ),
    "none_there": (
        "task_type is preference, but none of {count} records has a chosen and a rejected answer",
        "task_type 是 preference，但 {count} 条记录里都没有一好一差两个答案",
    ),
    "none_there.fix": (
        "give rows with question, chosen and rejected, name the columns with `columns` (answer is the chosen one), or "
        "set task_type: text-generation",
        "请给出带 question、chosen、rejected 的数据，或用 `columns` 指出列（answer 为较好的答案），"
        "或设置 task_type: text-generation",
    ),
    "no_common_question": (
        "the two answers do not follow one and the same question, in one turn each",
        "两个答案不是对同一个问题的各一次回答",
    ),
    "same_without_data": (
        "the two answers differ in nothing but personal data: {types}",
        "两个答案只有个人信息不同：{types}",
    ),
}
