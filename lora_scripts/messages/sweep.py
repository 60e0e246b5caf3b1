"""What a sweep says."""

TEXTS: dict[str, tuple[str, str]] = {
    "no_validation": (
        "a sweep compares validation losses, and this config holds no record out",
        "搜索靠验证损失比较，而该配置没有留出验证记录",
    ),
    "no_validation.fix": ("set eval_ratio above 0, or give eval_data", "请将 eval_ratio 设为大于 0，或给出 eval_data"),
    "steps_fixed": (
        "max_steps: {steps} is set, so epochs are not searched",
        "已设置 max_steps: {steps}，因此不搜索 epochs",
    ),
    "no_target": (
        "this base has no layers for target_modules: {name}, so they are not searched",
        "该基础模型没有 target_modules: {name} 对应的层，不搜索该项",
    ),
    "optuna_says": ("optuna: {words}", "optuna：{words}"),
    "store_fails": ("the store of the sweep cannot be read or written: {reason}", "搜索的存储文件无法读写：{reason}"),
    "store_fails.fix": (
        "free space, or begin anew in another folder (--output)",
        "请腾出空间，或换一个文件夹重新开始（--output）",
    ),
    "other": (
        "this folder holds a sweep over something else; what differs: {names}",
        "该文件夹中是另一次搜索的结果，不同之处：{names}",
    ),
    "other.fix": (
        "take the config as it was, or another folder (--output)",
        "请恢复原来的配置，或换一个文件夹（--output）",
    ),
    "interrupted": (
        "stopped; the trial that was running is not counted and comes first next time: the same command goes on",
        "已停止；正在进行的一次不计入，下次先做：用同一条命令继续",
    ),
    "nothing_done": ("stopped before the first trial was done", "第一次试验完成之前就停止了"),
    "nothing_done.fix": ("the same command begins with it again", "用同一条命令重新开始"),
    "trial": ("trial {done}/{trials}: {outcome}; {settings}", "试验 {done}/{trials}：{outcome}；{settings}"),
    "complete": ("validation loss {loss:.4f} at epoch {epoch:.1f}", "验证损失 {loss:.4f}（第 {epoch:.1f} 轮）"),
    "given_up": (
        "given up, worse than half of the others: {loss:.4f} at epoch {epoch:.1f}",
        "中途放弃，差于半数试验：{loss:.4f}（第 {epoch:.1f} 轮）",
    ),
    "failed": ("failed: {reason}", "失败：{reason}"),
    "settings": (
        "rank {rank}, rate {rate}, epochs {epochs}, targets {targets}",
        "秩 {rank}，学习率 {rate}，轮数 {epochs}，目标层 {targets}",
    ),
    "head_loss": ("loss", "损失"),
    "head_epoch": ("epoch", "轮"),
    "head_seconds": ("seconds", "秒"),
    "best": ("best settings, as lines for the config:", "最好的设置，可写入配置："),
    "where": ("the same as a whole config, ready to train: {path}", "完整的配置，可直接训练：{path}"),
}
