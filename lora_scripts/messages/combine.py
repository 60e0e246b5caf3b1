"""What is said about adapters as files: combined into one, listed, verified; and about adapters that overlap."""

TEXTS: dict[str, tuple[str, str]] = {
    "of_pictures": ("{method}, pictures", "{method}，图片"),
    # help
    "help": (
        "write the weighted sum of adapters as one PEFT adapter, exact and proven",
        "把多个适配器的加权和写成一个 PEFT 适配器，精确且经过验证",
    ),
    "words": ("adapters, each with its weight, and last the new folder", "各适配器及其权重，最后是要生成的文件夹"),
    "base_model": ("the base folder, where it moved since training", "基础模型文件夹（训练后移动过时需要）"),
    "list_help": ("the adapters below a folder", "列出文件夹下的适配器"),
    "list_root": ("the folder to look through", "要查看的文件夹"),
    "verify_help": (
        "check that an adapter is whole, unchanged and for its base; exits 1 with each problem",
        "检查适配器是否完整、未被改动、与基础模型相符；有问题则逐条列出并以 1 退出",
    ),
    # combine
    "too_few": ("an adapter and a new folder are needed", "至少需要一个适配器和一个新文件夹"),
    "too_few.fix": (
        "write: lora-scripts adapters combine output/a:0.7 output/b:0.3 output/both",
        "请写：lora-scripts adapters combine output/a:0.7 output/b:0.3 output/both",
    ),
    "no_sum": (
        "what a {method} adapter does is not a sum, so it cannot be added to others",
        "{method} 适配器的作用不是相加，不能与其他适配器求和",
    ),
    "no_sum.fix": (
        "combine lora and rslora adapters; stack a dora adapter as the first one when it is loaded",
        "只能合并 lora 和 rslora；dora 适配器可在加载时放在叠加的第一个",
    ),
    "shapes": (
        "the adapters have different widths on this module: they belong to different bases",
        "这些适配器在该模块上的宽度不同：它们属于不同的基础模型",
    ),
    "shapes.fix": ("combine adapters of one base only", "只能合并同一基础模型的适配器"),
    "rank_too_high": (
        "the ranks add up to {rank}, and adapters above {limit} are not read",
        "秩相加为 {rank}，而超过 {limit} 的适配器不会被读取",
    ),
    "rank_too_high.fix": (
        "shrink the adapters first: lora-scripts adapters shrink SRC DST --energy 0.99",
        "请先缩小适配器：lora-scripts adapters shrink SRC DST --energy 0.99",
    ),
    "other_base": (
        "this adapter was trained on {base}, and {one} on {first}: their weights differ",
        "该适配器训练于 {base}，而 {one} 训练于 {first}：两者权重不同",
    ),
    "other_base.fix": ("combine adapters of one base only", "只能合并同一基础模型的适配器"),
    "base_names": (
        "the adapters name different bases, and for some it is not on record which one it was: {names}",
        "适配器写的基础模型不同，其中有的没有记录可查：{names}",
    ),
    "differs": (
        "the adapters were trained with different values of {name}; the combined one keeps that of {path}",
        "各适配器训练时的 {name} 不同；合并后的适配器沿用 {path} 的",
    ),
    "overlap": (
        "WARNING: {one} and {other} overlap by {share:.0f} %: in part they change the same directions, which then "
        "counts for the sum of their weights",
        "警告：{one} 与 {other} 重叠 {share:.0f} %：两者有一部分改动相同的方向，这部分按权重之和起作用",
    ),
    "no_overlap": (
        "the adapters hardly overlap: {share:.1f} % at most ({one} and {other})",
        "适配器之间几乎不重叠：最多 {share:.1f} %（{one} 与 {other}）",
    ),
    "no_base": (
        "the base is not there as it was ({reason}); proven on the matrices instead",
        "基础模型不在原处或已改变（{reason}）；改为用矩阵验证",
    ),
    "no_room": (
        "loading {base} may take {needed:.1f} GB, which are not free; proven on the matrices instead",
        "加载 {base} 约需 {needed:.1f} GB，内存不足；改为用矩阵验证",
    ),
    "not_equal": (
        "what was written is not the sum: {value:.3g} apart, at most {bound:.3g}; nothing was kept",
        "写出的结果不等于加权和：相差 {value:.3g}，上限 {bound:.3g}；没有保留任何文件",
    ),
    "combined": (
        "one adapter of rank {rank} on {modules} modules, {size}",
        "一个适配器，秩 {rank}，{modules} 个模块，{size}",
    ),
    "proven_logits": (
        "proven: stock peft's logits are within {value:.2g} of the stacked adapters', which change the base's by "
        "{signal:.2g}",
        "已验证：peft 加载后的 logits 与叠加的适配器相差不超过 {value:.2g}，而适配器使基础模型改变 {signal:.2g}",
    ),
    "proven_matrices": (
        "proven: every matrix is the weighted sum to {value:.1e} of its norm",
        "已验证：每个矩阵都等于加权和，相对误差 {value:.1e}",
    ),
    "where": ("the combined adapter: {folder}", "合并后的适配器：{folder}"),
    "from": ("combined from {path}, weight {weight:g}", "由 {path} 合并而来，权重 {weight:g}"),
    # list
    "no_folder": ("there is no such folder", "没有这个文件夹"),
    "no_folder.fix": (
        "name the folder that the outputs of your runs lie in, as output",
        "请给出训练结果所在的文件夹，如 output",
    ),
    "listed": (
        "{name}: {method}, rank {rank}, {size}, base {base}, made {made}",
        "{name}：{method}，秩 {rank}，{size}，基础模型 {base}，生成于 {made}",
    ),
    "broken": ("{name}: CANNOT BE USED: {reason}", "{name}：无法使用：{reason}"),
    "none_below": ("there is no adapter below {folder}", "{folder} 下没有适配器"),
    "checkpoints": ("{count} checkpoints are not listed", "另有 {count} 个检查点未列出"),
    # verify
    "whole": ("whole: {count} tensors, every value finite", "完整：{count} 个张量，数值均有限"),
    "other_config": (
        "the weights were written with other values than these: {names}",
        "以下设置与写入权重时的不同：{names}",
    ),
    "other_config.fix": (
        "copy adapter_config.json and the weights anew, from the same folder",
        "请从同一文件夹重新复制 adapter_config.json 和权重文件",
    ),
    "two_files": ("it is not the same as {other}", "与 {other} 不一致"),
    "two_files.fix": ("copy both anew, from the same folder", "请从同一文件夹重新复制两者"),
    "no_hash": (
        "no provenance.json names the sha256 of the weights, so a change would not be seen",
        "没有 provenance.json 记录权重的 sha256，改动无法发现",
    ),
    "other_hash": (
        "the weights changed since provenance.json was written (sha256 {known})",
        "自 provenance.json 写入以来权重已改变（sha256 {known}）",
    ),
    "other_hash.fix": ("copy the folder anew from where it was trained", "请从训练处重新复制整个文件夹"),
    "same_hash": (
        "the weights are those of provenance.json (sha256 {known})",
        "权重与 provenance.json 一致（sha256 {known}）",
    ),
    "unproven": (
        "it does not say that the adapter was proven",
        "没有说明适配器已经过验证",
    ),
    "unproven.fix": ("train it to its end, or anew", "请完成训练，或重新训练"),
    "base_unknown": (
        "which base it was trained on is not on record",
        "没有记录它训练于哪个基础模型",
    ),
    "base_away": ("its base {base} was not compared: {reason}", "没有核对基础模型 {base}：{reason}"),
    "same_base": ("{base} is the base that it was trained on", "{base} 就是训练所用的基础模型"),
    "sound": ("nothing is wrong with it", "没有发现问题"),
}
