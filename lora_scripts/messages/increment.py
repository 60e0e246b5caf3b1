"""What training on from an earlier adapter says."""

TEXTS: dict[str, tuple[str, str]] = {
    "some": (
        "incremental: {new} new records are trained from the adapter in {origin}, with a fresh optimiser and schedule; "
        "{replayed} of {old} earlier records are replayed (replay); {validation} earlier validation records measure "
        "what is forgotten",
        "增量训练：从 {origin} 的适配器出发学习 {new} 条新记录，优化器与学习率重新开始；旧记录 {old} 条中重学 "
        "{replayed} 条（replay）；用 {validation} 条旧的验证记录衡量遗忘",
    ),
    "all": (
        "incremental: the weights in {origin} are trained on, with a fresh optimiser and schedule, on all {count} "
        "records",
        "增量训练：从 {origin} 的权重出发，优化器与学习率重新开始，学习全部 {count} 条记录",
    ),
    "no_record": (
        "what {origin} was trained on is not on record, so no record counts as old and forgetting is not measured",
        "没有 {origin} 曾用数据的记载，因此所有记录都视为新记录，也无法衡量遗忘",
    ),
    "nothing_new": (
        "no record is new since {origin}: all of them are trained again from its weights",
        "自 {origin} 以来没有新记录：从其权重出发重新学习全部记录",
    ),
    "superseded": (
        "{count} earlier records ask what new ones answer; they are not replayed",
        "{count} 条旧记录的问题在新记录中已有答案，不再重学",
    ),
    "measured_only": (
        "{count} records are ones that the earlier run was measured on; they go on measuring and are not trained",
        "{count} 条记录曾用于此前训练的验证，继续用于衡量，不参加训练",
    ),
    "lost": (
        "{count} records of the earlier training are not in the data any more; they cannot be replayed",
        "此前训练用过的 {count} 条记录已不在数据中，无法重学",
    ),
    "not_reread": (
        "the data of the earlier run could not be read again: {reason}",
        "无法重新读取此前训练的数据：{reason}",
    ),
    "finding": (
        "incremental run: {new} new records are trained; {replayed} of {old} records that an earlier run was trained "
        "on are replayed, the others rest",
        "增量训练：学习 {new} 条新记录；此前已训练的 {old} 条中重学 {replayed} 条，其余不再训练",
    ),
    "other_shape": (
        "this adapter cannot be trained on with these settings: {names}",
        "该适配器无法以这些设置继续训练：{names}",
    ),
    "other_shape.fix": (
        "put these back as they were, or train anew without resume_from_checkpoint",
        "请恢复这些设置，或去掉 resume_from_checkpoint 重新训练",
    ),
    "set_aside": ("the earlier run was moved to {folder}", "此前的训练结果已移至 {folder}"),
    "result_old": (
        "earlier validation records ({count}): loss {before:.3f} → {after:.3f} ({change:+.1f} %): what was forgotten",
        "旧的验证记录（{count} 条）：损失 {before:.3f} → {after:.3f}（{change:+.1f} %），即遗忘程度",
    ),
    "result_new": (
        "new validation records ({count}): loss {before:.3f} → {after:.3f} ({change:+.1f} %)",
        "新的验证记录（{count} 条）：损失 {before:.3f} → {after:.3f}（{change:+.1f} %）",
    ),
}
