"""Texts of what a set suffers from."""

TEXTS: dict[str, tuple[str, str]] = {
    "contradicting_answers": (
        "{count} answers contradict another answer to the same question (yes against no, or other figures): {places}",
        "{count} 个答案与同一问题的另一个答案相互矛盾（肯定与否定，或数字不同）：{places}",
    ),
    "contradicting_answers.fix": (
        "compare the two places and keep the right one; the model would learn to say either",
        "请对照两处，只留正确的一条；否则模型会时而这样答、时而那样答",
    ),
    "opposed_pairs": (
        "{count} rejected answers are what another record prefers for the same question: {places}",
        "{count} 个被否决的答案，在同一问题的另一条记录里却是更好的答案：{places}",
    ),
    "opposed_pairs.fix": (
        "decide which of the two answers is the better one and remove the other record; together they teach nothing",
        "请判断两个答案哪个更好，删去另一条记录；两条并存等于什么也没教",
    ),
    "near_duplicates": (
        "{count} records are almost the same as another, figures included: {places}",
        "{count} 条记录与另一条几乎相同（数字也相同）：{places}",
    ),
    "near_duplicates.fix": (
        "keep the better one of each pair, or it weighs twice",
        "每对请保留较好的一条，否则它的权重会翻倍",
    ),
    "other_figures": (
        "{count} records are like another but for a number or the name of a law: {places}",
        "{count} 条记录与另一条只差数字或法律名称：{places}",
    ),
    "other_figures.fix": (
        "nothing, if both are right; a number copied by mistake hides in such pairs",
        "若两条都对则无需处理；抄错的数字常藏在这样的成对记录里",
    ),
    "leakage": (
        "{count} records meant for validation are almost the same as a training record; they are trained on instead: "
        "{places}",
        "{count} 条拟作验证的记录与训练记录几乎相同，已改为用于训练：{places}",
    ),
    "leakage.fix": (
        "nothing to do; validation would have looked better than it is",
        "无需处理；否则验证结果会虚高",
    ),
    "seed_in_validation": (
        "{count} synthetic records were made from records that validate; they are left out: {places}",
        "{count} 条合成记录由验证记录改写而来，已剔除：{places}",
    ),
    "seed_in_validation.fix": (
        "nothing to do; training on them would give the validation answers away",
        "无需处理；用它们训练等于泄露验证答案",
    ),
    "mojibake": (
        "{count} records hold broken characters from a wrong encoding: {places}",
        "{count} 条记录含有因编码错误产生的乱码：{places}",
    ),
    "mojibake.fix": (
        "take these records from the original file again, or delete them; the model would learn to write such signs",
        "请从原始文件重新导出这些记录，或删除；否则模型会学着输出乱码",
    ),
    "wrong_language": (
        "{count} answers are in {language} though their questions are not, and most answers are in {main}: {places}",
        "{count} 个答案是{language}，而问题不是；其余答案多为{main}：{places}",
    ),
    "wrong_language.fix": (
        "translate these answers, or take them out",
        "请翻译这些答案，或移除",
    ),
    "other_language": (
        "{count} records are in {language}, all others in {main}: {places}",
        "{count} 条记录是{language}，其余为{main}：{places}",
    ),
    "other_language.fix": (
        "nothing, if both languages are wanted; so few teach little",
        "若两种语言都需要则无需处理；不过这么少也学不到多少",
    ),
    "language.zh": ("Chinese", "中文"),
    "language.en": ("English or another Latin script", "英文（或其他拉丁字母文字）"),
    "language.ja": ("Japanese", "日文"),
    "language.ko": ("Korean", "韩文"),
    "language.ru": ("a Cyrillic script", "西里尔字母文字"),
    "machine_talk": (
        "{count} answers speak as an AI model (“as an AI …”): {places}",
        "{count} 个答案带有 AI 口吻（“作为AI语言模型……”）：{places}",
    ),
    "machine_talk.fix": (
        "rewrite them as your house would answer, or delete them",
        "请改写成贵方的口吻，或删除",
    ),
    "unfilled": (
        "{count} answers hold fields that nobody filled in (such as {{{{name}}}}): {places}",
        "{count} 个答案里有没填的占位字段（如 {{{{name}}}}）：{places}",
    ),
    "unfilled.fix": (
        "fill them in; the model would repeat them letter by letter",
        "请填好；否则模型会原样照抄",
    ),
    "question_repeated": (
        "{count} answers begin by repeating the question: {places}",
        "{count} 个答案开头重复了问题：{places}",
    ),
    "question_repeated.fix": (
        "cut the repetition, unless the model should answer that way",
        "若不希望模型这样回答，请删去重复部分",
    ),
    "house_opening": (
        "{count} answers do not open with “{opening}” as {share} % do: {places}",
        "{share}% 的答案以“{opening}”开头，有 {count} 个不是：{places}",
    ),
    "house_opening.fix": (
        "bring them into the house form, or the form stays loose",
        "请统一成同样的开头，否则模型学到的格式不稳",
    ),
    "house_length": (
        "{count} answers are more than three times as long or as short as usual ({middle} characters): {places}",
        "{count} 个答案的长度与通常的 {middle} 字相差三倍以上：{places}",
    ),
    "house_length.fix": (
        "look whether text is missing or two records ran together",
        "请查看是否缺字，或两条记录粘在了一起",
    ),
    "house_citation": (
        "{count} answers cite no article of a law though {share} % do: {places}",
        "{share}% 的答案引用了法条（《…》第…条），有 {count} 个没有：{places}",
    ),
    "house_citation.fix": (
        "add the citation, or check that none applies",
        "请补上法条，或确认确实无可引用",
    ),
    "boilerplate": (
        "{share} % of the answers hold the same sentence: “{sentence}”",
        "{share}% 的答案含有同一句话：“{sentence}”",
    ),
    "boilerplate.fix": (
        "nothing, if it is your house form; else cut it, for it is learned first and loudest",
        "若是贵方的固定用语则无需处理；否则请删去，模型最先学会的就是它",
    ),
    "too_few": (
        "{count} records teach a form of answering, hardly any knowledge",
        "只有 {count} 条记录：能教会回答的格式，教不了多少知识",
    ),
    "too_few.fix": (
        "more records help most. Until then these lines suit {base}:\n{lines}",
        "最有效的办法是增加记录。在此之前，以下设置适合{base}：\n{lines}",
    ),
    "small_set": (
        "{count} records are a small set: it is soon learned by heart",
        "{count} 条记录属于小数据集，容易过拟合",
    ),
    "small_set.fix": (
        "these lines suit {base}:\n{lines}",
        "以下设置适合{base}：\n{lines}",
    ),
    "base_7b": ("a 7B base (below 1B: ten times the rate)", " 7B 基础模型（1B 以下学习率乘十）"),
    "base_millions": ("this base of {millions} million parameters", "这个 {millions} 百万参数的基础模型"),
    "stale_variants": (
        "{count} variants that `augment` made have an answer that no original has (it was corrected since?): {places}",
        "有 {count} 条 augment 生成的变体，其答案在原始记录里已不存在（可能原记录后来改过）：{places}",
    ),
    "stale_variants.fix": (
        "make them again: delete that file and call `lora-scripts augment` once more",
        "请删除该文件，重新运行 `lora-scripts augment`",
    ),
    "remark_in_answer": (
        "{count} answers hold what looks like a remark between colleagues (@name, TODO, a comment): {places}",
        "有 {count} 个答案里像是同事之间的备注（@某人、批注、TODO）：{places}",
    ),
    "remark_in_answer.fix": ("take it out, or the model will write such remarks", "请删去，否则模型会学着写这类备注"),
}
