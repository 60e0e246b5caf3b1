"""What `init` says, asks and writes as comments."""

TEXTS: dict[str, tuple[str, str]] = {
    "help": (
        "Look at the files of a folder, ask at most five questions, and write a config that trains.",
        "查看文件夹中的数据，最多问五个问题，写出可直接训练的配置。",
    ),
    "folder": (
        "a folder or file with questions and answers, or a folder of pictures",
        "问答数据的文件夹或文件，或图片文件夹",
    ),
    "target": ("the config to write", "要写出的配置文件"),
    "yes": ("ask nothing and take the defaults", "不提问，全部采用默认值"),
    "overwrite": ("replace a config that is there already", "覆盖已有的配置文件"),
    "exists": ("this file is there already", "该文件已存在"),
    "exists.fix": (
        "name another with --output, or add --overwrite to replace it",
        "请用 --output 换一个文件名，或加 --overwrite 覆盖它",
    ),
    "nobody_asked": (
        "there is no terminal to ask at, so each question takes its default",
        "没有可供提问的终端，所有问题采用默认值",
    ),
    "all_defaults": ("--yes: each question takes its default", "--yes：所有问题采用默认值"),
    "taken": ("  taken: {answer}", "  采用：{answer}"),
    "not_an_option": ("write a number from 1 to {most}, or press Enter", "请输入 1 到 {most} 的数字，或按回车"),
    "as_learned": ("the first records, as they will be learned:", "最前面的记录，将按此学习："),
    "which_reading": (
        "The files can be read in several ways. Which one is right?",
        "这些文件有多种读法，哪一种对？",
    ),
    "none_of_these": ("none of these", "都不对"),
    "which_base": (
        "Which base model? A number, or the path of another folder.",
        "用哪个基础模型？输入数字，或另一个文件夹的路径。",
    ),
    "base_option": ("{path} ({millions} million parameters)", "{path}（{millions} 百万参数）"),
    "base_for_trying": (
        "{path} ({millions} million parameters: for trying the tool, it learns a form and no knowledge)",
        "{path}（{millions} 百万参数：供试用，只能学到形式，学不到知识）",
    ),
    "no_base": ("no base model lies in ./models", "./models 中没有基础模型"),
    "no_base.fix": (
        "fetch one with `lora-scripts base get gemma3-270m`, or name its folder with --base-model",
        "请用 `lora-scripts base get gemma3-270m` 获取，或用 --base-model 指定文件夹",
    ),
    "no_picture_base": ("no Stable Diffusion base lies in ./models", "./models 中没有 Stable Diffusion 基础模型"),
    "no_picture_base.fix": ("name its folder with --base-model", "请用 --base-model 指定文件夹"),
    "what_for": ("What is the adapter for?", "这个适配器用来做什么？"),
    "purpose.any": ("answers in the style of these records", "按这些记录的风格回答"),
    "purpose.citations": ("legal advice that cites the article first", "法律咨询，先引用法条"),
    "purpose.service": ("customer service, short and polite", "客服，简短礼貌"),
    "names": (
        "Mask names and addresses of people too? Identity, phone, card numbers and the like always are.",
        "姓名和地址也要打码吗？（身份证号、手机号、卡号等始终打码）",
    ),
    "no": ("no", "否"),
    "yes_word": ("yes", "是"),
    "trigger": (
        "A word that calls this style in prompts, such as mystyle? Enter: none.",
        "提示词中用来唤起这种风格的触发词，例如 mystyle？直接回车表示不用。",
    ),
    "written": ("the config is in {path}", "配置已写入 {path}"),
    # comments
    "header": (
        "Written by `lora-scripts init` for {folder}.\n"
        "Every key and its range: docs/config.md, or `lora-scripts schema`.",
        "由 `lora-scripts init` 为 {folder} 写出。\n全部配置项及取值范围：docs/config.md，或 `lora-scripts schema`。",
    ),
    "data": ("The records: {count} were read.", "训练数据：读到 {count} 条记录。"),
    "reading": ("How the files are read.", "文件的读法。"),
    "preference": (
        "Each question has a better and a worse answer: the adapter learns to prefer the better one (DPO).",
        "每个问题有一好一差两个回答：适配器学习偏好较好的一个（DPO）。",
    ),
    "names_too": (
        "What is masked before training: the usual kinds, and names and addresses as well as they can be found.",
        "训练前打码的内容：默认种类，以及尽力识别的姓名和地址。",
    ),
    "base": (
        "The base model, {millions} million parameters; it stays as it is.",
        "基础模型，{millions} 百万参数；训练中保持不变。",
    ),
    "output_comment": ("Where the adapter and all reports go.", "适配器和各种报告的存放处。"),
    "system_prompt": (
        "Put before every conversation, in training and in chat. Change the words as you like before training.",
        "加在每段对话之前，训练和对话时都用。训练前可随意改写。",
    ),
    "rule_citation": (
        "The form of an answer, measured before and after: it opens with an article ({share} of the records do).",
        "回答的规范，训练前后都会统计：以法条开头（{share} 的记录如此）。",
    ),
    "rule_opening": (
        'The form of an answer, measured before and after: it opens with "{opening}" ({share} of the records do).',
        "回答的规范，训练前后都会统计：以“{opening}”开头（{share} 的记录如此）。",
    ),
    "no_rule": (
        "The answers share no opening, so no rule is measured. answer_rules in docs/config.md says what could be.",
        "这些回答没有共同的开头，因此不统计规范；可统计什么见 docs/config.md 的 answer_rules。",
    ),
    "no_rule_citation": (
        "Too few answers open with an article to make that the rule: answers learn what the records show.\n"
        "Put the article first in the records, or see answer_rules in docs/config.md (statutes).",
        "以法条开头的回答太少，不能作为规范：模型只会学到数据中的样子。\n"
        "请在数据中把法条写在最前，或见 docs/config.md 的 answer_rules（statutes）。",
    ),
    "adapter": ("Size of the adapter and its layers.", "适配器的大小和所加的层。"),
    "rate": (
        "The learning rate suits the size of the base: a small base needs ten times that of a 7B one.",
        "学习率与基础模型大小有关：小模型需要 7B 模型的十倍。",
    ),
    "epochs": ("Every record is learned {count} times at most.", "每条记录最多学习 {count} 遍。"),
    "validation": (
        "{share} of the records are held out: they show when to stop, and are answered at the end for comparison.",
        "留出 {share} 的记录作验证：用来判断何时停止，并在结束时对照回答。",
    ),
    "length": (
        "Longest record in tokens, template included; here it is {longest}.",
        "单条记录的最大词元数（含模板）；这批数据最长 {longest}。",
    ),
    "too_long": (
        "{count} records are longer than the {most} tokens of this base and are left out.",
        "有 {count} 条记录超过该基础模型的 {most} 个词元，将剔除。",
    ),
    "pictures": ("The pictures and their captions: {count} were read.", "图片及其说明：读到 {count} 张。"),
    "trigger_word": (
        "Put before every caption; write it in prompts to call the style.",
        "加在每条说明之前；绘图时写入提示词即可唤起风格。",
    ),
    "picture_rate": (
        "Steps and learning rate; look at samples/ while it runs.",
        "步数与学习率；训练时可查看 samples/。",
    ),
}
