"""What the coach says."""

TEXTS: dict[str, tuple[str, str]] = {
    "over_fitting": (
        "over-fitting: validation loss has risen from {best:.3f} (epoch {epoch:.1f}) to {last:.3f} (epoch {now:.1f}) "
        "while training loss fell to {train:.3f}: what is learned now holds for its records only. The best state is "
        "kept",
        "过拟合：验证损失已从 {best:.3f}（第 {epoch:.1f} 轮）升到 {last:.3f}（第 {now:.1f} 轮），而训练损失降到 "
        "{train:.3f}：此后学到的只适用于训练数据。最好的状态已保留",
    ),
    "harmful": (
        "over-fitting from the start: validation loss was never below the base's {base:.3f} and is {last:.3f} at epoch "
        "{now:.1f}, while training loss falls: what is learned holds for the training records only",
        "从一开始就过拟合：验证损失从未低于基础模型的 {base:.3f}，第 {now:.1f} 轮为 {last:.3f}，而训练损失在下降："
        "学到的只适用于训练数据",
    ),
    "diverging": (
        "diverging: training and validation loss both rise; validation was {best:.3f} (epoch {epoch:.1f}) and is "
        "{last:.3f} (epoch {now:.1f}). The best state is kept",
        "训练发散：训练损失和验证损失都在上升，验证损失从 {best:.3f}（第 {epoch:.1f} 轮）到 {last:.3f}（第 {now:.1f} "
        "轮）。最好的状态已保留",
    ),
    "not_learning": (
        "not learning: validation loss is {last:.3f} at epoch {now:.1f}, the base had {base:.3f}; training loss does "
        "not fall either",
        "没有学到东西：第 {now:.1f} 轮验证损失为 {last:.3f}，基础模型为 {base:.3f}，训练损失也没有下降",
    ),
    "copying": (
        "answers with long stretches copied from training answers: {before:.0f} % at first, {after:.0f} % now",
        "照抄训练答案中长句的回答：起初占 {before:.0f} %，现在占 {after:.0f} %",
    ),
    "stops": ("coach: stop is set, so the run ends here", "已设置 coach: stop，训练到此结束"),
    "goes_on": (
        "the run goes on; with coach: stop it would end here",
        "训练继续；若设置 coach: stop，则会在此结束",
    ),
    "change": ("to change in the config:", "建议在配置中改为："),
    "unwatched": (
        "nothing was validated, so nobody can tell whether this run over-fits: set eval_ratio or eval_data",
        "没有做过验证，无从判断是否过拟合：请设置 eval_ratio 或 eval_data",
    ),
    "account": (
        "validation loss: base {base:.3f}, best {best:.3f} at epoch {epoch:.1f} of {now:.1f}, {last:.3f} at the end",
        "验证损失：基础模型 {base:.3f}，最好 {best:.3f}（第 {epoch:.1f} 轮，共 {now:.1f} 轮），结束时 {last:.3f}",
    ),
    "account_gap": (
        "validation loss: base {base:.3f}, best {best:.3f} at epoch {epoch:.1f} of {now:.1f}, {last:.3f} at the end; "
        "at the best, training loss was {train:.3f} (gap {gap:.3f})",
        "验证损失：基础模型 {base:.3f}，最好 {best:.3f}（第 {epoch:.1f} 轮，共 {now:.1f} 轮），结束时 {last:.3f}；"
        "最好时训练损失为 {train:.3f}（差 {gap:.3f}）",
    ),
    "form": (
        "answers in the house form: {before:.0f} % at first, {after:.0f} % at the end",
        "合乎规范的回答：起初 {before:.0f} %，结束时 {after:.0f} %",
    ),
    "was_over_fitting": (
        "past its best the run over-fitted: what it learned then holds for its records only, and the adapter of the "
        "best moment was taken. A shorter run would have come to about the same",
        "最好的时刻之后出现过拟合，此后学到的只适用于训练数据；已取最好时刻的适配器。训练得短些，结果也差不多",
    ),
    "was_harmful": (
        "validation loss was never below the base's: what was learned holds for the training records only, and the "
        "base answers validation questions better without this adapter",
        "验证损失从未低于基础模型：学到的只适用于训练数据，不加适配器的基础模型在验证问题上更好",
    ),
    "was_diverging": (
        "past its best the run went astray, training loss included: the learning rate is too high",
        "最好的时刻之后训练发散，训练损失也在上升：学习率过高",
    ),
    "was_not_learning": (
        "the run learned nothing that helps on validation records",
        "训练没有学到对验证数据有帮助的东西",
    ),
    "still_learning": (
        "validation loss was still falling at the end: a longer run would be better",
        "结束时验证损失仍在下降：训练久一些会更好",
    ),
    "done": (
        "validation loss was lowest at the end: no sign of over-fitting, and little left to gain: nothing to change",
        "验证损失在结束时最低：没有过拟合迹象，继续训练收益也不大：无需改动",
    ),
    "levelled": (
        "validation loss was lowest at epoch {epoch:.1f} and is {above:.3f} above that at the end: more epochs would "
        "gain nothing. The adapter of the best moment was taken",
        "验证损失在第 {epoch:.1f} 轮最低，结束时比它高 {above:.3f}：再多训练也没有收益。已取最好时刻的适配器",
    ),
    "levelled_train_fell": (
        "validation loss was lowest at epoch {epoch:.1f} and is {above:.3f} above that at the end, while training loss "
        "fell on: over-fitting is beginning, and more epochs would make it worse. The adapter of the best moment was "
        "taken",
        "验证损失在第 {epoch:.1f} 轮最低，结束时比它高 {above:.3f}，而训练损失仍在下降：过拟合开始出现，"
        "再训练只会更差。已取最好时刻的适配器",
    ),
}
