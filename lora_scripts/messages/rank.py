"""What is said about the rank of adapters: what they use of it, and shrinking them."""

TEXTS: dict[str, tuple[str, str]] = {
    "target_exists": ("it exists already, and nothing is overwritten", "已存在，不会覆盖"),
    "target_exists.fix": ("name a folder that does not exist yet", "请给出一个尚不存在的文件夹"),
    "bad_energy": ("a share between 0 and 1 is needed, not {energy}", "应为 0 与 1 之间的比例，而不是 {energy}"),
    "bad_energy.fix": ("0.99 keeps nearly all that the adapter does", "0.99 几乎保留适配器的全部作用"),
    "no_rank": ("an adapter of the method {method} has no rank that could be lowered", "{method} 适配器没有可降低的秩"),
    "no_rank.fix": ("only lora, rslora and dora can be shrunk", "只有 lora、rslora 和 dora 可以缩小"),
    "not_lower": (
        "the adapter has rank {rank} and would stay as it is",
        "该适配器的秩为 {rank}，这样不会有任何变化",
    ),
    "not_lower.fix": ("give a rank from 1 to below {rank}", "请给出不小于 1、且小于 {rank} 的秩"),
    "not_asked": ("losses were not measured, as wished", "按要求没有测量损失"),
    "no_run": (
        "losses were not measured: there is no {file} beside the adapter that names its data",
        "没有测量损失：适配器旁没有 {file}，不知道训练数据在哪里",
    ),
    "nothing_held_out": (
        "losses were not measured: the run held no record out",
        "没有测量损失：该训练没有留出验证记录",
    ),
    "not_measured": ("losses were not measured: {reason}", "没有测量损失：{reason}"),
    "changed": (
        "the losses are not those of the run, because these have changed since: {names}",
        "损失与训练时不可比，因为以下内容之后有变化：{names}",
    ),
    "shrunk": ("rank {before} → {after}, {old} → {new}", "秩 {before} → {after}，{old} → {new}"),
    "error": (
        "what the adapter adds to the weights changed by {error:.2f} % (most in {module}: {worst:.2f} %)",
        "适配器加到权重上的量改变了 {error:.2f} %（最多的是 {module}：{worst:.2f} %）",
    ),
    "losses": (
        "validation loss: base {base:.4f}, before {before:.4f}, after {after:.4f} ({change:+.2f} %)",
        "验证损失：基础模型 {base:.4f}，缩小前 {before:.4f}，缩小后 {after:.4f}（{change:+.2f} %）",
    ),
    "where": ("the shrunk adapter: {folder}", "缩小后的适配器：{folder}"),
    "kind": (
        "{kind} ({layers} layers): effective rank {used:.1f}, from {least:.1f} to {most:.1f}; mean norm {norm:.3g}",
        "{kind}（{layers} 层）：有效秩 {used:.1f}，从 {least:.1f} 到 {most:.1f}；平均范数 {norm:.3g}",
    ),
    "used": (
        "rank {rank} used about {used}; {holding} would hold 99 % of every layer",
        "秩 {rank} 实际用到约 {used}；{holding} 就能保留每层的 99 %",
    ),
    "smaller": (
        "lora_rank: {rank} would probably do; `lora-scripts adapters shrink` makes this one smaller",
        "lora_rank: {rank} 大概就够了；用 `lora-scripts adapters shrink` 可以缩小它",
    ),
    "method": ("{method} on {layers} layers: {kinds}", "{method}，加在 {layers} 层上：{kinds}"),
    "settings": ("rank {rank}, alpha {alpha}", "秩 {rank}，alpha {alpha}"),
    "size": ("{size}, {values} values in {dtypes}", "{size}，{values} 个数值，{dtypes}"),
    "base": ("base: {path}", "基础模型：{path}"),
    "no_provenance": ("no provenance.json, so where it comes from is not known", "没有 provenance.json，来源不明"),
    "made": ("made {made}, data {data}", "生成于 {made}，数据 {data}"),
    "other_weights": (
        "the weights are not those that provenance.json speaks of",
        "权重与 provenance.json 所记录的不一致",
    ),
    "from": (
        "shrunk from {path}, which had rank {rank}; its weights changed by {error:.2f} %",
        "由 {path}（秩 {rank}）缩小而来，权重变化 {error:.2f} %",
    ),
}
