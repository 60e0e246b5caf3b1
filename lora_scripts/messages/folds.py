"""What is said about figures over folds."""

TEXTS: dict[str, tuple[str, str]] = {
    "many": (
        "folds: {folds} on {count} records: the run takes about {folds} times longer, and with so many records one "
        "split is a fair measure already",
        "{count} 条记录做 folds: {folds}：总时间约多出 {folds} 倍；记录这么多时，划分一次已足够可靠",
    ),
    "too_few": (
        "folds: {folds}, but there are only {count} different questions",
        "folds: {folds}，但只有 {count} 个不同的问题",
    ),
    "too_few.fix": ("set folds to at most {count}, or leave it out", "请将 folds 设为不超过 {count}，或去掉该键"),
    "all_alike": (
        "fold {fold}: every question of it stands in other words in the rest, so nothing would be measured",
        "第 {fold} 折：其中的问题都与其余数据雷同，无法衡量效果",
    ),
    "all_alike.fix": ("set a smaller number of folds, or leave folds out", "请减小 folds，或去掉该键"),
    "unreadable": ("{path} cannot be read: the folds begin anew", "{path} 无法读取：各折重新开始"),
    "changed": (
        "the folds of an earlier run do not count, because this differs: {names}",
        "之前各折的结果不再有效，因为以下内容已变化：{names}",
    ),
    "line": (
        "fold {fold}/{folds}: {records} records train, {validation_records} validate: validation loss {base_loss:.4f} "
        "→ {best_loss:.4f}, best at epoch {best_epoch:.1f} of {epochs:.1f}",
        "第 {fold}/{folds} 折：{records} 条训练，{validation_records} 条验证：验证损失 {base_loss:.4f} → "
        "{best_loss:.4f}，最好在第 {best_epoch:.1f} 轮（共 {epochs:.1f} 轮）",
    ),
    "mean": (
        "over {folds} folds: best validation loss {loss:.4f} ± {spread:.4f}, at epoch {epoch:.1f} ± {epoch_spread:.1f}",
        "{folds} 折平均：最好的验证损失 {loss:.4f} ± {spread:.4f}，在第 {epoch:.1f} ± {epoch_spread:.1f} 轮",
    ),
}
