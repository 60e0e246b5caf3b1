"""Texts about the memory of a run."""

TEXTS: dict[str, tuple[str, str]] = {
    "predicted": (
        "memory: about {gib:.2f} GiB at the peak ({weights:.2f} GiB of it weights), beside what the program holds "
        "before; it is reached to {phase}",
        "内存：峰值约 {gib:.2f} GiB（其中权重 {weights:.2f} GiB），不含程序此前占用的部分；峰值出现在{phase}时",
    ),
    "measured": (
        "memory: {measured:.2f} GiB at the peak, {predicted:.2f} GiB were predicted ({ratio:.2f} of it)",
        "内存：实测峰值 {measured:.2f} GiB，预测 {predicted:.2f} GiB（为实测的 {ratio:.2f} 倍）",
    ),
    "phase_load": ("load the base", "加载基础模型"),
    "phase_train": ("train", "训练"),
    "phase_validate": ("validate", "验证"),
    "phase_answer": ("answer questions", "生成回答"),
    "phase_prove": ("prove the adapter", "检验适配器"),
    "checkpointing_on": (
        "gradient_checkpointing: auto is on: without it the run needs about {need:.1f} GiB, {free:.1f} GiB are free",
        "gradient_checkpointing: auto 已开启：不开启约需 {need:.1f} GiB，可用 {free:.1f} GiB",
    ),
    "card_holds": (
        "a {card} GB card holds this run: about {gib:.1f} of {usable:.1f} usable GiB (an estimate)",
        "{card} GB 显卡放得下：约需 {gib:.1f} GiB，可用 {usable:.1f} GiB（估计值）",
    ),
    "card_holds_with": (
        "a {card} GB card holds it with {keys}: about {gib:.1f} of {usable:.1f} usable GiB (an estimate)",
        "{card} GB 显卡加上 {keys} 放得下：约需 {gib:.1f} GiB，可用 {usable:.1f} GiB（估计值）",
    ),
    "card_too_small": (
        "a {card} GB card is too small, whatever the keys: the run needs about {gib:.1f} GiB of {usable:.1f} usable",
        "{card} GB 显卡放不下，调整配置也不行：约需 {gib:.1f} GiB，可用 {usable:.1f} GiB",
    ),
}
