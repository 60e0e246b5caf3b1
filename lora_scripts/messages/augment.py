"""Texts of growing a small set, and of the cache that large sets need."""

TEXTS: dict[str, tuple[str, str]] = {
    "endpoint_and_model": ("--endpoint and --model belong together", "--endpoint 和 --model 要一起给"),
    "endpoint_and_model.fix": ("give both, or neither for the rules", "请两个都给，或都不给（用规则改写）"),
    # what was made
    "made": ("{count} variants made by {by}", "{by} 生成了 {count} 条变体"),
    "by_rules": ("rules", "规则"),
    "refused": ("{count} left out: {reason}", "弃用 {count} 条：{reason}"),
    "short": (
        "{count} records gave fewer variants than asked for",
        "{count} 条记录得到的变体少于要求的数量",
    ),
    "masked": (
        "personal data was masked in {count} questions before they were sent",
        "{count} 个问题在发送前做了脱敏",
    ),
    "reason.duplicate": ("the same as a question that is already there", "与已有的问题相同"),
    "reason.near_copy": ("nearly the same as the question", "与原问题几乎相同"),
    "reason.numbers": ("a number was changed", "改动了数字"),
    "reason.citations": ("a citation of law was changed", "改动了法条引用"),
    "reason.names": ("a name or a masked place was changed", "改动了名称或脱敏占位符"),
    "reason.negation": ("a negation came or went", "增减了否定"),
    "reason.statement": ("no longer a question", "不再是提问"),
    "reason.language": ("another language than the question", "语言与原问题不同"),
    "reason.too_long": ("much longer than the question", "比原问题长得多"),
    "reason.empty": ("empty", "为空"),
    "reason.personal": ("holds personal data that the question does not hold", "出现了原问题没有的个人信息"),
    "reason.surplus": ("more than asked for", "超出要求的数量"),
    "reason.malformed": ("replies that are not the JSON asked for", "回复不是要求的 JSON"),
    "reason.no_answer": ("questions that the endpoint did not answer", "接口没有答复的问题"),
    "reason.rejected": ("questions that the endpoint rejected", "被接口拒绝的问题"),
    "reason.not_asked": (
        "questions not asked or not waited for, because it stopped before",
        "因提前停止而没有发送或没有等到答复的问题",
    ),
    "reason.synthetic": ("records that are synthetic themselves", "本身就是合成的记录"),
    "reason.other_language": (
        "records whose question is neither Chinese nor English",
        "问题既非中文也非英文的记录",
    ),
    "exists": ("there is a file of this name already", "同名文件已存在"),
    "exists.fix": ("choose another name, or move that file away", "请换一个文件名，或先移走该文件"),
    "cannot_write": ("the variants cannot be written: {reason}", "无法写入变体：{reason}"),
    "cannot_write.fix": (
        "check the folder, its permissions and the space on the disk",
        "请检查文件夹、权限和磁盘空间",
    ),
    "nothing_made": ("no variant was made ({reasons})", "没有生成任何变体（{reasons}）"),
    "nothing_made.fix": (
        "look at the reasons; an endpoint (--endpoint) finds other words than the rules do",
        "请查看原因；用接口（--endpoint）可以得到规则之外的说法",
    ),
    # the endpoint
    "leaves": (
        "up to {count} questions leave this machine for {host} (model {model}), personal data masked first; "
        "only the first question of each record is sent, no answers",
        "最多 {count} 个问题将离开本机，发往 {host}（模型 {model}），个人信息先行脱敏；"
        "只发送每条记录的第一个问题，不发送答案",
    ),
    "stays": (
        "up to {count} questions go to {host} on this machine (model {model}), personal data masked first",
        "最多 {count} 个问题将发往本机的 {host}（模型 {model}），个人信息先行脱敏",
    ),
    "not_encrypted": (
        "{host} is asked over plain http: everyone on the way can read the questions and the key",
        "以 http 明文访问 {host}：途中任何人都能看到问题和密钥",
    ),
    "bad_endpoint": ("this is not the address of an endpoint: {why}", "这不是有效的接口地址：{why}"),
    "bad_endpoint.fix": (
        "write it as https://host/v1; the key goes into LORA_SCRIPTS_API_KEY",
        "请写成 https://主机/v1；密钥放在环境变量 LORA_SCRIPTS_API_KEY 中",
    ),
    "why_scheme": ("it begins neither with http:// nor with https://", "不是以 http:// 或 https:// 开头"),
    "why_host": (
        "it names no host, its port is no number, or it holds spaces or letters outside ASCII",
        "没有主机名，端口不是数字，或含有空格或非 ASCII 字符",
    ),
    "why_secret": ("it holds a name, a password or a query", "其中含有用户名、密码或查询参数"),
    "bad_key": (
        "the key in LORA_SCRIPTS_API_KEY holds characters that no header can carry",
        "LORA_SCRIPTS_API_KEY 中的密钥含有请求头不允许的字符",
    ),
    "bad_key.fix": ("set it again, without line breaks or quotes", "请重新设置，不要带换行或引号"),
    "denied": ("the endpoint refuses the key (HTTP {status})", "接口不接受密钥（HTTP {status}）"),
    "denied.fix": ("set LORA_SCRIPTS_API_KEY to a key of this endpoint", "请把 LORA_SCRIPTS_API_KEY 设为该接口的密钥"),
    "not_there": (
        "the endpoint does not know this address or the model {model} (HTTP {status})",
        "接口没有这个地址或模型 {model}（HTTP {status}）",
    ),
    "not_there.fix": (
        "check --endpoint (it usually ends with /v1) and --model; redirects are not followed",
        "请检查 --endpoint（通常以 /v1 结尾）和 --model；不会跟随重定向",
    ),
    "down": (
        "{count} questions in a row without a usable reply; the last: {last}",
        "连续 {count} 个问题没有得到可用的答复；最后一次：{last}",
    ),
    "down.fix": (
        "see that the endpoint runs and answers, then start again",
        "请确认接口正在运行并能答复，然后重试",
    ),
    "stopped": (
        "stopped after a fault, {left} questions are left; what was made is kept: {fault}",
        "出错后停止，还剩 {left} 个问题；已生成的会保留：{fault}",
    ),
    "last_status": ("HTTP {status}", "HTTP {status}"),
    # the cache
    "cache_cut": ("it is cut off or no cache file", "文件不完整，或不是缓存文件"),
    "cache_changed": ("its bytes are not those that were written", "内容与写入时不一致"),
    "cache_broken": (
        "{path} cannot be used ({reason}); it is made anew",
        "{path} 不能使用（{reason}）；将重新生成",
    ),
    "cache_off": (
        "rendered documents are not kept in {folder} ({reason}); they stay in memory for this run",
        "渲染结果没有存入 {folder}（{reason}）；本次运行保留在内存中",
    ),
    "cache_pruned": (
        "{count} old entries ({freed:.1f} GiB) were removed from {folder} to keep it under {limit:.1f} GiB",
        "为保持在 {limit:.1f} GiB 以内，从 {folder} 删除了 {count} 个旧缓存（{freed:.1f} GiB）",
    ),
    "cache_over": (
        "the cache holds {size:.1f} GiB, more than {limit:.1f} GiB, since this run needs it all: {path}",
        "缓存共 {size:.1f} GiB，超过 {limit:.1f} GiB，因为本次训练都要用到：{path}",
    ),
}
