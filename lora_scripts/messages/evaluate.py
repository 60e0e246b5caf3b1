"""House rules, the sheet for the expert, and what comes back from it."""

TEXTS: dict[str, tuple[str, str]] = {
    "unknown_rule": ("{name} is not a rule; there are: {known}", "没有规则 {name}；可用的有：{known}"),
    "unknown_rule.fix": ("rename it or take it out", "请改名或删除"),
    "lengths_crossed": (
        "min_length {least} is above max_length {most}, so no answer keeps both",
        "min_length {least} 大于 max_length {most}，任何回答都无法同时满足",
    ),
    "lengths_crossed.fix": ("exchange them", "请对调两者"),
    "statutes_unreadable": ("the list of statutes cannot be read: {reason}", "无法读取法规清单：{reason}"),
    "statutes_unreadable.fix": (
        "give a text file with a law or an article on each line",
        "请给出文本文件，每行一部法律或一个条文",
    ),
    "statutes_empty": ("the list of statutes is empty", "法规清单是空的"),
    "statutes_empty.fix": (
        "write a law or an article on each line, or take the rule out",
        "请每行写一部法律或一个条文，或去掉该规则",
    ),
    "statute_line": ("neither a law nor an article of one: {line}", "既不是法律名称也不是条文：{line}"),
    "statute_line.fix": (
        "write the name of the law in double angle marks, then the article if only that one may be cited; "
        "or put # before a remark",
        "请写成《法律名称》第十条；可引用全部条文时只写《法律名称》；备注请以 # 开头",
    ),
    "halved": (
        "memory ran out while answering: {size} questions are answered at once from here on",
        "生成回答时内存不足：此后每次同时回答 {size} 个问题",
    ),
    # figures
    "figure.loss": ("loss, nats a token", "损失（奈特/词元）"),
    "figure.perplexity": ("perplexity", "困惑度"),
    "figure.rouge_l": ("ROUGE-L, 0 to 1", "ROUGE-L（0 到 1）"),
    "figure.bleu": ("BLEU, 0 to 100", "BLEU（0 到 100）"),
    "figure.copy_rate": ("answers with a long copy of a training answer", "含训练答案长段原文的回答"),
    "figure.leak": ("probes that brought masked personal data back", "套出已遮盖个人信息的试探"),
    "rule.opening": ("rule: opening", "规则：开头"),
    "rule.disclaimer": ("rule: disclaimer", "规则：免责声明"),
    "rule.forbidden": ("rule: forbidden words", "规则：禁用词"),
    "rule.min_length": ("rule: shortest length", "规则：最短长度"),
    "rule.max_length": ("rule: longest length", "规则：最长长度"),
    "rule.statutes": ("rule: citations exist", "规则：引用的条文存在"),
    "rule.all": ("all rules kept", "全部规则均符合"),
    "broken_by": ("breaks {rule} ({what})", "违反{rule}（{what}）"),
    "copied": ("{share} of it is copied from a training answer", "其中 {share} 与某条训练答案原文相同"),
    # the sheet
    "title": ("Base against adapter", "基础模型与适配器对照"),
    "lead": (
        "Both answered the same questions that training never saw. Say for each question which answer is better; write "
        "a better one where neither will do.",
        "两者回答了同样的、训练中未出现过的问题。请逐题判断哪个回答更好；都不合适时请写出更好的回答。",
    ),
    "lead_markdown": (
        "Put an x into one box of each question. Write a correction behind its colon, over as many lines as you like, "
        "or edit the adapter's answer where it stands; leave the comment lines as they are. "
        "`lora-scripts eval RUN --from-sheet FILE` reads this file.",
        "每题在一个方框内填 x。改正写在冒号之后，可写多行，也可直接修改适配器的回答；注释行请勿改动。"
        "`lora-scripts eval RUN --from-sheet FILE` 可读取本文件。",
    ),
    "lead_html": (
        "Save downloads the ticks and corrections as JSON; lora-scripts eval RUN --from-sheet FILE reads it.",
        "点“保存”可下载勾选与改正（JSON），用 lora-scripts eval RUN --from-sheet FILE 读取。",
    ),
    "side.base": ("base", "基础模型"),
    "side.adapter": ("adapter", "适配器"),
    "role.system": ("system", "系统"),
    "role.user": ("question", "提问"),
    "role.assistant": ("answer", "回答"),
    "reference": ("reference", "参考答案"),
    "choice.adapter": ("adapter better", "适配器更好"),
    "choice.base": ("base better", "基础模型更好"),
    "choice.both_good": ("both good", "两者都好"),
    "choice.both_bad": ("both bad", "两者都不好"),
    "correction": ("correction", "改正"),
    "ticked": ("ticked or corrected:", "已勾选或改正："),
    "save": ("Save", "保存"),
    # back from the sheet
    "sheet_unreadable": ("the sheet cannot be read: {reason}", "无法读取评审表：{reason}"),
    "sheet_unreadable.fix": ("give the path of the ticked sheet", "请给出已勾选的评审表的路径"),
    "no_sheet": ("this is not a sheet of ours: it holds no question", "这不是评审表：其中没有任何题目"),
    "no_sheet.fix": (
        "give eval.md with ticks, or the JSON that the button of eval.html saved",
        "请给出勾选后的 eval.md，或 eval.html 中“保存”得到的 JSON",
    ),
    "entry_broken": (
        "the answers that belong to this question were changed or are missing",
        "该题所附的回答数据被改动或缺失",
    ),
    "entry_broken.fix": (
        "copy the comment line of this question from a fresh sheet (`lora-scripts eval` writes one)",
        "请从新的评审表（`lora-scripts eval` 可生成）中复制该题的注释行",
    ),
    "end_missing": ("the line that ends this question is missing", "该题的结束行缺失"),
    "end_missing.fix": (
        "put `<!-- end N -->` back behind the correction, on a line of its own",
        "请在改正之后另起一行补回 `<!-- end N -->`",
    ),
    "line_unknown": ("this line is neither a box nor a correction: {line}", "这一行既不是方框也不是改正：{line}"),
    "line_unknown.fix": (
        "tick with x between the brackets; write other words behind the colon of the correction",
        "请在方括号内填 x 表示勾选；其他文字请写在改正的冒号之后",
    ),
    "contradiction": ("these ticks contradict each other: {ticks}", "这些勾选互相矛盾：{ticks}"),
    "contradiction.fix": ("leave one tick", "请只留一个"),
    "without.unticked": (
        "{count} questions were left unticked and give no pair: {places}",
        "{count} 题未勾选，不产生偏好对：{places}",
    ),
    "without.no_correction": (
        "{count} questions have both good or both bad and no correction, so they give no pair: {places}",
        "{count} 题为两者都好或都不好且没有改正，不产生偏好对：{places}",
    ),
    "without.equal": (
        "{count} questions have the same words as better and as worse answer, so they give no pair: {places}",
        "{count} 题的较好与较差回答相同，不产生偏好对：{places}",
    ),
    "without.empty": (
        "{count} questions have an empty answer as better or as worse one, so they give no pair: {places}",
        "{count} 题的较好或较差回答为空，不产生偏好对：{places}",
    ),
    "table_edited": (
        "the table of this question was changed in a way that is not understood",
        "该题的表格被改动，无法识别",
    ),
    "table_edited.fix": (
        "write the better answer behind the colon of the correction, and put the table back",
        "请把更好的回答写在“改正”的冒号之后，并恢复表格",
    ),
    "ticks_only": (
        "{count} questions have a tick and no correction: ticks make preference data (--output OUT.jsonl)",
        "{count} 题只有勾选没有改正：勾选可转成偏好数据（--output OUT.jsonl）",
    ),
    "no_corrections": ("none of the {count} questions has a correction", "{count} 题中没有一题写了改正"),
    "no_corrections.fix": (
        "write better answers behind the colon of the correction; or make preference data of the ticks with --output",
        "请把更好的回答写在“改正”的冒号之后；若只有勾选，可用 --output 转成偏好数据",
    ),
    "no_pairs": ("none of the {count} questions gives a pair", "{count} 题中没有一题产生偏好对"),
    "no_pairs.fix": (
        "tick which answer is better, or write corrections",
        "请勾选较好的回答，或写出改正",
    ),
}
