"""What is said about several processes at one run."""

TEXTS: dict[str, tuple[str, str]] = {
    "ranks": (
        "{size} ranks share every step; a step holds the same records as on one",
        "{size} 个进程分担每一步；每一步的记录与单进程时相同",
    ),
    "rank_failed": ("rank {rank} failed: {reason}", "第 {rank} 号进程失败：{reason}"),
    "rank_failed.fix": (
        "see that process's machine; then go on with resume_from_checkpoint=auto",
        "请检查该进程所在的机器，然后用 resume_from_checkpoint=auto 继续",
    ),
    "lost": (
        "a rank is gone, so the run cannot go on ({reason}); the step under way was not taken",
        "有一个进程已经退出，训练无法继续（{reason}）；正在进行的一步没有计入",
    ),
    "lost.fix": (
        "the launcher's report names it; go on from the newest checkpoint with resume_from_checkpoint=auto",
        "启动器的报告中写明是哪一个；请用 resume_from_checkpoint=auto 从最新的检查点继续",
    ),
    "one_card": (
        "{device} names one card, but {ranks} ranks want one each",
        "{device} 指定了一张卡，但 {ranks} 个进程各需要一张",
    ),
    "one_card.fix": (
        "set device: auto, and choose cards by CUDA_VISIBLE_DEVICES",
        "请设置 device: auto，并用 CUDA_VISIBLE_DEVICES 选择显卡",
    ),
    "too_few_cards": (
        "this machine has {cards} cards, but {needed} ranks or more were started on it",
        "本机有 {cards} 张卡，却启动了至少 {needed} 个进程",
    ),
    "too_few_cards.fix": (
        "lower --nproc-per-node to the number of cards",
        "请把 --nproc-per-node 降到显卡的数量",
    ),
    "no_rank": (
        "WORLD_SIZE is {size}, but RANK is not set to a number below it",
        "WORLD_SIZE 为 {size}，但 RANK 没有设为小于它的数",
    ),
    "no_rank.fix": ("start the run by torchrun, which sets both", "请用 torchrun 启动，由它设置这两个变量"),
    "differs": (
        "the ranks do not see the same {names}: rank {rank} has others than rank 0",
        "各进程看到的 {names} 不同：第 {rank} 号进程与第 0 号不一致",
    ),
    "differs.fix": (
        "put the same files on every machine, and start all ranks with the same config",
        "请在每台机器上放置相同的文件，并用同一份配置启动所有进程",
    ),
    "no_answers": (
        "shard: true, so the sample questions are not answered on the way",
        "shard: true，训练途中不回答示例问题",
    ),
    "finishes_on_cpu": (
        "shard: true, so the comparison and the proof run on the CPU with the whole base",
        "shard: true，对比与验证将在 CPU 上用完整的基础模型进行",
    ),
    "alone": (
        "shard: true has no effect on one rank; start more by torchrun",
        "只有一个进程时 shard: true 不起作用；请用 torchrun 启动多个",
    ),
}
