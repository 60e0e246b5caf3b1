"""What is said about routing: rules, and the router that is learned from training questions."""

TEXTS: dict[str, tuple[str, str]] = {
    "bad_name": ("{name!r} is no name of a rule, an adapter or a stack", "{name!r} 不能作规则、适配器或叠加的名字"),
    "bad_name.fix": (
        "use letters, digits, dot, underscore and hyphen, at most 64",
        "只用字母、数字、点、下划线和连字符，最多 64 个",
    ),
    "empty_keyword": ("an empty keyword is in every question", "空关键词会匹配所有问题"),
    "empty_keyword.fix": ("remove it", "请删去"),
    "bad_pattern": ("{pattern} is no regular expression: {reason}", "{pattern} 不是正则表达式：{reason}"),
    "bad_pattern.fix": (
        "put a backslash before a sign that is meant as itself",
        "按字面匹配的符号前请加反斜杠",
    ),
    "always": (
        "this rule has no condition, so nothing after it is ever asked, nor a learned router",
        "该规则没有条件，其后的规则和学习得到的路由都不会起作用",
    ),
    "always.fix": ("give it a condition, or put it last and learn no router", "请加上条件，或放到最后且不用学习路由"),
    "not_a_list": ("rules are a list", "规则应是一个列表"),
    "not_a_list.fix": (
        "write each as: - {{keywords: [contract], to: law}}",
        "每条写成：- {{keywords: [合同], to: law}}",
    ),
    "bad_rule": (
        "these parts of the rule are missing, unknown or of the wrong kind: {names}",
        "规则中以下部分缺失、未知或类型不对：{names}",
    ),
    "bad_rule.fix": (
        "a rule has some of {known}; to is needed, header is one name and value, keywords are a list",
        "规则可有 {known}；to 必填，header 是一个名称和值，keywords 是列表",
    ),
    # learned
    "left_out": (
        "{name} is not in the learned router, so only rules and requests that name it reach it: {reason}",
        "{name} 不在学习路由中，只有规则或指名请求才能到达：{reason}",
    ),
    "no_run": ("there is no run.yaml beside it that names its data", "旁边没有说明训练数据的 run.yaml"),
    "few": (
        "its data hold {count} different questions, {needed} are needed",
        "训练数据只有 {count} 个不同问题，至少需要 {needed} 个",
    ),
    "nothing": (
        "no router was learned: no adapter has training questions",
        "没有学习路由：没有一个适配器有训练问题",
    ),
    "cached": ("learned router: read from {path}", "学习路由：读自 {path}"),
    "not_cached": (
        "the learned router could not be kept for the next start: {reason}",
        "学习路由无法留存供下次启动使用：{reason}",
    ),
    "learned": (
        "learned router, on questions set aside: {right:.1f} % to their adapter, {wrong:.1f} % to another one, the "
        "rest to the base (each adapter counts the same)",
        "学习路由（在留出的问题上）：{right:.1f} % 到对应的适配器，{wrong:.1f} % 到别的适配器，"
        "其余交给基础模型（各适配器权重相同）",
    ),
    "row": ("  {name}: {chosen}", "  {name}：{chosen}"),
    "base": ("base", "基础模型"),
    "general": ("everyday questions", "日常问题"),
    "strangers": ("questions of an adapter that it was not told of", "未参与训练的适配器的问题"),
    "shared": (
        "{count} questions are in the data of more than one adapter; no router can tell whose they are",
        "{count} 个问题同时出现在多个适配器的数据里，任何路由都无法区分",
    ),
    "weak": (
        "WARNING: fewer than {bound:.0f} % reach their adapter: its questions look like those of another one, or like "
        "everyday questions; add rules",
        "警告：到达对应适配器的不足 {bound:.0f} %：其问题与别的适配器或日常问题相似；请添加规则",
    ),
}
