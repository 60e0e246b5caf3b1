"""Texts about personal data."""

TEXTS: dict[str, tuple[str, str]] = {
    "unknown_type": ("{name} is no type of personal data", "没有 {name} 这种个人信息类型"),
    "unknown_type.fix": ("use some of: {known}", "可用的类型：{known}"),
    "unknown_mode": ("{name} is no way to desensitise", "没有 {name} 这种脱敏方式"),
    "unknown_mode.fix": ("use one of: {known}", "可用的方式：{known}"),
    "no_key": ("pseudonyms need a key", "假名方式需要密钥"),
    "no_key.fix": (
        "put a secret text into the environment variable LORA_SCRIPTS_PSEUDONYM_KEY; the same key gives the same "
        "pseudonyms again",
        "请把一段保密的文字放入环境变量 LORA_SCRIPTS_PSEUDONYM_KEY；同一密钥得到同样的假名",
    ),
    "source_missing": ("no such file or folder", "没有这个文件或文件夹"),
    "source_missing.fix": ("check the path", "请检查路径"),
    "target_exists": ("the target exists already; nothing was written", "目标已经存在，没有写入任何内容"),
    "target_exists.fix": ("name a new file or folder", "请换一个新的文件名或文件夹名"),
    "target_inside": ("the target lies inside the source folder", "目标位于源文件夹之内"),
    "target_inside.fix": ("choose a target outside of it", "请把目标放到源文件夹之外"),
    "nothing_to_do": ("the folder holds no file", "文件夹里没有文件"),
    "nothing_to_do.fix": ("name the folder that holds the data", "请指定放数据的文件夹"),
    "kind_refused": (
        "files of the kind {kind} cannot be desensitised; nothing was copied",
        "无法给 {kind} 类型的文件脱敏，没有复制任何内容",
    ),
    "kind_refused.fix": (
        "export it as one of {known}, or move it out of the folder",
        "请导出为 {known} 之一，或移出该文件夹",
    ),
    "link_refused": ("a link is not followed; nothing was copied", "不跟随链接，没有复制任何内容"),
    "link_refused.fix": ("put the file itself there, or remove the link", "请放入文件本身，或删除该链接"),
    "not_writable": ("the copy cannot be written: {why}", "无法写入副本：{why}"),
    "not_writable.fix": ("check free space and rights of the target folder", "请检查目标文件夹的空间和权限"),
    "cannot_read": ("the file cannot be read: {why}", "无法读取文件：{why}"),
    "cannot_read.fix": ("open and save it again in its program", "请用原来的程序打开并重新保存"),
    "no_drop_here": (
        "this JSON is no list of objects, so no record can be left out",
        "这个 JSON 不是对象列表，无法逐条剔除",
    ),
    "no_drop_here.fix": ("use mode mask or pseudonym", "请改用 mask 或 pseudonym 方式"),
    "note.dropped": ("holds personal data: {types}", "含有个人信息：{types}"),
    "note.only_marks": ("the answer was nothing but personal data: {types}", "答案除个人信息外没有内容：{types}"),
    "finding.mask": (
        "personal data were masked: {counts}; names and addresses only on request, best effort",
        "个人信息已打码：{counts}；姓名和地址按需处理，不保证全部找到",
    ),
    "finding.mask.fix": (
        "look at a few records with `preview`; `desensitize_types` chooses the types",
        "请用 `preview` 抽查几条；`desensitize_types` 可选择类型",
    ),
    "finding.pseudonym": (
        "personal data were replaced by pseudonyms: {counts}",
        "个人信息已换成假名：{counts}",
    ),
    "finding.pseudonym.fix": (
        "keep the key apart from the data: who has both can test a guess",
        "密钥请与数据分开保存：两者都有的人可以验证猜测",
    ),
    "finding.drop": (
        "records with personal data were left out; found in them: {counts}",
        "含有个人信息的记录已剔除；其中发现：{counts}",
    ),
    "finding.drop.fix": (
        "use mode mask to keep the records without the data",
        "如要保留记录只去掉信息，请用 mask 方式",
    ),
    "finding.file_name": (
        "the name of this file or folder holds personal data and was kept",
        "这个文件或文件夹的名称含有个人信息，名称未改",
    ),
    "finding.file_name.fix": ("rename the copy before you pass it on", "转交前请给副本改名"),
    "finding.plain_marks": (
        "the encoding of this file holds no Chinese: marks are written like [phone], in place of pseudonyms too",
        "该文件的编码不含中文：标记写作 [phone] 一类，假名也改为这种标记",
    ),
    "finding.plain_marks.fix": (
        "save the file as UTF-8 first, if that is not wanted",
        "如不需要这样，请先把文件另存为 UTF-8",
    ),
    "finding.hidden_files": ("{count} hidden files were not copied", "{count} 个隐藏文件没有复制"),
    "finding.sheet_parts": (
        "the workbook was written anew: charts and form controls are missing in the copy",
        "工作簿是重新写出的：副本不含图表和表单控件",
    ),
    "finding.formula_results": (
        "{count} formulas became their stored results",
        "{count} 个公式已换成其保存的计算结果",
    ),
    "finding.document_parts": (
        "{count} pictures or embedded files of the document were copied as they are, with what they show",
        "文档中的 {count} 个图片或嵌入文件原样复制，其中内容未检查",
    ),
    "finding.document_parts.fix": ("look at them, and remove them if needed", "请查看这些内容，必要时删除"),
    "finding.numbers_emptied": (
        "columns of numbers hold personal data; these values became empty or another number: {names}",
        "数字列含有个人信息，这些值已置空或换成其他数字：{names}",
    ),
    "finding.one_encoding": (
        "{count} lines were in {other}; the whole copy is in {encoding}",
        "有 {count} 行是 {other} 编码；副本全部为 {encoding}",
    ),
    "reads_worse": (
        "the copy would read worse than its source ({there} records, then {left}); nothing was written",
        "副本会比原文件更难读取（原有 {there} 条记录，副本 {left} 条），没有写入任何内容",
    ),
    "reads_worse.fix": (
        "with mode drop, use mask; else see how the source reads with `check`, and send its shape as a bug report",
        "若用了 drop，请改用 mask；否则请用 `check` 查看原文件的读法，并把文件的格式报告给我们",
    ),
    "no_drop_in_text": (
        "this paragraph of a document holds personal data, and leaving it out would part questions from answers",
        "文档的这一段含有个人信息，剔除它会使问与答错位",
    ),
    "no_drop_in_text.fix": ("use mode mask or pseudonym", "请改用 mask 或 pseudonym 方式"),
    "list_exists": ("the list exists already; nothing was written", "清单文件已经存在，没有写入任何内容"),
    "list_exists.fix": ("name a new file", "请换一个新的文件名"),
    "list_inside": (
        "the list would lie among the data, and it holds what is to be kept out of them",
        "清单会放进数据文件夹，而它正含有要去掉的信息",
    ),
    "list_inside.fix": ("choose a place outside of the source and the copy", "请放在源文件夹和副本之外"),
}
