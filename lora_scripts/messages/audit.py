"""Texts of the audit log."""

_KEEP = (
    "keep the file as it is; what follows this line proves nothing",
    "请保留文件原样；此行之后的内容不能作为依据",
)

TEXTS: dict[str, tuple[str, str]] = {
    "command": ("The audit log of the server.", "服务器的审计日志。"),
    "verify": (
        "Check that no record of an audit log was edited, taken out, moved or cut off.",
        "检查审计日志有无修改、删除、移动或截断。",
    ),
    "file": ("the audit log", "审计日志文件"),
    "not_writable": ("the audit log cannot be written: {reason}", "无法写入审计日志：{reason}"),
    "not_writable.fix": ("check the folder, its permissions and the space on the disk", "请检查文件夹、权限和磁盘空间"),
    "unreadable": ("the audit log cannot be read: {reason}", "无法读取审计日志：{reason}"),
    "unreadable.fix": ("check its name and permissions", "检查文件名和权限"),
    "held": ("another process writes this audit log", "另一个进程正在写入该审计日志"),
    "held.fix": ("give each server a log of its own", "请为每个服务器指定各自的日志"),
    "broken_end": (
        "the end of the audit log is not what its head says, or was written with another key",
        "审计日志的结尾与其 head 文件不符，或使用了另一个密钥",
    ),
    "broken_end.fix": (
        "run `lora-scripts audit verify`, keep both files, and start a new log",
        "运行 `lora-scripts audit verify`，保留这两个文件，另起一个新日志",
    ),
    "needs_key": ("the audit log was written with a key", "该审计日志是用密钥写入的"),
    "needs_key.fix": ("set LORA_SCRIPTS_AUDIT_KEY to it", "请设置 LORA_SCRIPTS_AUDIT_KEY"),
    "next": (
        "write the last hash down somewhere else: it shows later that nothing was cut off",
        "请把最后的哈希另存别处：日后可证明日志没有被截断",
    ),
    "next_none": ("lora-scripts serve writes it as requests come", "lora-scripts serve 收到请求后会写入"),
    # what verify finds
    "edited": ("this record was edited, or is written with another key", "该记录被修改过，或使用了另一个密钥"),
    "edited.fix": _KEEP,
    "removed": ("record {n} should stand here; it was taken out", "此处应为第 {n} 条记录；它被删除了"),
    "removed.fix": _KEEP,
    "moved": ("record {n} stands here a second time or in the wrong place", "第 {n} 条记录重复或位置不对"),
    "moved.fix": _KEEP,
    "replaced": (
        "this record is not the one that the next was written after: one of the two was replaced",
        "该记录不是下一条记录所承接的那条：两者之一被替换了",
    ),
    "replaced.fix": _KEEP,
    "half_line": (
        "the last line is half written; a server was killed, or somebody cut the file",
        "最后一行不完整；服务器被强行终止，或文件被截断",
    ),
    "half_line.fix": (
        "if the server was killed: start it again, it declares the half line",
        "如果是服务器被强行终止：重新启动后会声明这行不完整的记录",
    ),
    "cut_off": ("the log is cut off here: {missing} records are missing", "日志在此处被截断：缺少 {missing} 条记录"),
    "cut_off.fix": _KEEP,
    "no_head": (
        "the head of the log is missing or edited, so nothing tells whether the log was cut off",
        "缺少日志的 head 文件或其被修改，无法判断日志是否被截断",
    ),
    "no_head.fix": ("put it back from a copy", "请从备份恢复"),
    "other_head": ("the head is not of this log", "head 文件与该日志不符"),
    "other_head.fix": _KEEP,
    # the result
    "good": (
        "{count} records, {first} to {last}, nothing edited; last hash {hash}",
        "共 {count} 条记录，{first} 至 {last}，没有修改；最后的哈希 {hash}",
    ),
    "none": ("no records yet", "还没有记录"),
    "torn": (
        "{count} lines were left half written by a killed server, and declared by the next",
        "有 {count} 行因服务器被强行终止而不完整，已由之后的记录声明",
    ),
    "beyond": (
        "{count} records were written after the head; a server was killed in between",
        "有 {count} 条记录写在 head 更新之后；服务器在两者之间被终止",
    ),
    "no_key": (
        "written without a key: whoever may write both files can make up a whole new log; note the last hash elsewhere",
        "未使用密钥：能写入这两个文件的人可以伪造整个日志；请将最后的哈希另存他处",
    ),
}
