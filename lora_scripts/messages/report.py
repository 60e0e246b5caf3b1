"""Texts of the data report that are not in the data room: bins, sections, kinds of personal data."""

TEXTS: dict[str, tuple[str, str]] = {
    "does_not_add_up": (
        "the account of the data does not add up: {read} read, {trained} trained, {validation} validation, "
        "{left_out} left out",
        "数据账目对不上：读入 {read}，训练 {trained}，验证 {validation}，剔除 {left_out}",
    ),
    "does_not_add_up.fix": (
        "this is a bug of lora-scripts; please report it with the kind of files that you read",
        "这是 lora-scripts 的缺陷；请附上所读文件的类型反馈",
    ),
    # notes and bins
    "nearly_same_as": (
        "differs from {source} in spaces, punctuation or case only",
        "与 {source} 只差空格、标点或大小写",
    ),
    "note_seed": ("made from a record that validates", "由验证记录改写而来"),
    "note_asked": ("asked in training too, or almost the same as a trained record", "训练数据里也有，或几乎相同"),
    "reason.near_duplicate": ("near duplicate", "近似重复"),
    "reason.masked": ("personal data, left out", "含个人信息，已剔除"),
    "reason.seed_in_validation": ("made from a validation record", "由验证记录改写"),
    # the terminal
    "folded": (
        "{text} (and {count} more of this kind: data_report.html)",
        "{text}（同类另有 {count} 处，见 data_report.html）",
    ),
    "samples": ("the first records, as they will be learned:", "前几条记录（将照此学习）："),
    "units": ("text read as", "文字的去向"),
    "unit": ("lines, cells and keys read as", "行、单元格、键的去向"),
    "units_note": (
        "Every non-blank line of a text, every filled cell of a table and every key of an object is counted once.",
        "文本的每个非空行、表格的每个非空单元格、对象的每个键各计一次。",
    ),
    "unit.question": ("question", "问题"),
    "unit.answer": ("answer", "答案"),
    "unit.system": ("system", "系统提示"),
    "unit.context": ("context", "上下文"),
    "unit.reasoning": ("reasoning", "思考过程"),
    "unit.metadata": ("metadata", "元数据"),
    "unit.left_out": ("left out", "剔除"),
    "unit.not_understood": ("not understood", "看不懂"),
    # the page
    "lead": (
        "What was read, what it is used for, what was left out and why. This report holds counts and places, never "
        "the texts, but for words that several answers share.",
        "读入了什么、用于何处、剔除了什么及原因。本报告只含数量与位置，不含原文（多个答案共有的用语除外）。",
    ),
    "made_on": ("made on {date}", "生成于 {date}"),
    "why": ("Left out, by reason", "剔除原因"),
    "lengths": ("Lengths in characters", "长度分布（字符）"),
    "question_length": ("Questions", "问题"),
    "answer_length": ("Answers", "答案"),
    "longest": ("longest: {count}", "最长 {count}"),
    "too_long": (
        "{dropped} records are longer than max_seq_length and left out; the questions of {cut} were cut.",
        "{dropped} 条记录超过 max_seq_length 已剔除；{cut} 条的问题被截短。",
    ),
    "openings": ("How answers open", "答案的开头"),
    "openings_note": (
        "The commonest, where at least three answers share one; numbers and names of laws are shown as …",
        "仅列出至少三个答案共有的开头；编号与法律名称以 … 表示",
    ),
    "opening": ("opening", "开头"),
    "count": ("records", "条数"),
    "personal_data": ("Personal data found", "发现的个人信息"),
    "personal_data_note": (
        "Counts by type; the values are nowhere in this report.",
        "按类型计数；本报告不含任何具体内容。",
    ),
    "type": ("type", "类型"),
    "not_listed": (
        "{count} more places are counted but not listed (at most {most} are kept for each reason)",
        "另有 {count} 处只计数、未列出（每种原因最多保留 {most} 处）",
    ),
    "as_above": ("{count} more of the kind above:", "同上，另有 {count} 处："),
    "pii.id_card": ("identity card number", "身份证号"),
    "pii.phone": ("mobile number", "手机号"),
    "pii.landline": ("landline number", "固定电话"),
    "pii.email": ("e-mail address", "电子邮箱"),
    "pii.bank_card": ("bank card number", "银行卡号"),
    "pii.passport": ("passport number", "护照号"),
    "pii.permit": ("travel permit number", "通行证号"),
    "pii.plate": ("number plate", "车牌号"),
    "pii.uscc": ("unified social credit code", "统一社会信用代码"),
    "pii.case_no": ("court case number", "案号"),
    "pii.medical_no": ("medical record number", "病历号"),
    "pii.wechat": ("WeChat name", "微信号"),
    "pii.qq": ("QQ number", "QQ 号"),
    "pii.ip": ("IP address", "IP 地址"),
    "pii.mac": ("MAC address", "MAC 地址"),
    "pii.amount": ("amount of money", "金额"),
    "pii.name": ("person's name", "姓名"),
    "pii.address": ("postal address", "地址"),
}
