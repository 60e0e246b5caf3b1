"""Texts about the reading of running text: questions to the user, and what was made of each line."""

TEXTS: dict[str, tuple[str, str]] = {
    "not_understood": (
        "{count} of {total} lines are neither question nor answer nor anything else that is known",
        "{total} 行中有 {count} 行既不是问题也不是答案，也看不出是什么",
    ),
    "not_understood.fix": (
        "say who speaks with `roles`, or take out what is no question and answer",
        "请用 `roles` 指出谁在问、谁在答，或删去不是问答的内容",
    ),
    "finding.lines_not_understood": (
        "{count} lines were not understood and are not read: lines {lines}",
        "有 {count} 行看不懂，没有读入：第 {lines} 行",
    ),
    "finding.lines_not_understood.fix": ("look at those lines", "请查看这些行"),
    "which_speaker_asks": (
        "who asks and who answers? The speakers are {names}, and what they say does not tell",
        "谁在问、谁在答？说话人有 {names}，从内容看不出来",
    ),
    "which_speaker_asks.fix": (
        "set roles: {{user: [who asks], assistant: [who answers]}}",
        "请设置 roles: {{user: [提问的人], assistant: [回答的人]}}",
    ),
    "part_of_the_answer": (
        "lines that begin with {names} stand below most answers; are they part of the answer?",
        "多数答案下面都有以“{names}”开头的内容，它是答案的一部分吗？",
    ),
    "part_of_the_answer.fix": (
        "put {names} beside the assistant in `roles` if it is, leave it out of `roles` if not",
        "是，就在 `roles` 里把 {names} 写在 assistant 下；不是，就不要写进 `roles`",
    ),
    "degenerate_answers": (
        "the answers hold next to nothing to learn (few different short words, options or numbers); is this meant?",
        "答案里几乎没有可学的内容（只有几种短词、选项或数字），确定是这样吗？",
    ),
    "degenerate_answers.fix": (
        "set `roles` (or `columns`) to say who answers, if this is meant",
        "如确实如此，请用 `roles`（或 `columns`）指明谁在回答",
    ),
    "finding.third_speakers": (
        "{count} turns of speakers who neither ask nor answer were left out: {names}",
        "{names} 既不提问也不回答，其 {count} 段话没有读入",
    ),
    "finding.third_speakers.fix": (
        "give them a role with `roles` if they should be learned",
        "如需学习，请用 `roles` 给他们指定角色",
    ),
    "finding.labels_in_text": (
        "{count} lines begin like a speaker ({names}) and were kept as part of the text above them",
        "有 {count} 行开头像称呼（{names}），按上文的一部分保留",
    ),
    "finding.labels_in_text.fix": (
        "name them in `roles` if they are speakers",
        "如果是说话人，请写进 `roles`",
    ),
    "finding.roles_by_evidence": (
        "who asks was decided by order and question marks, not by name: {user} asks, {assistant} answers",
        "按先后次序和问号（而不是称呼）判断：{user} 提问，{assistant} 回答",
    ),
    "finding.roles_by_evidence.fix": ("set `roles` if that is wrong", "如不对，请设置 `roles`"),
    "finding.unlabelled_questions": (
        "{count} questions without a label were read in front of their answers",
        "有 {count} 个没有标签的问题，按其后的答案配对读入",
    ),
    "finding.unlabelled_questions.fix": (
        "look at a few with `preview`; write a label in front if that is wrong",
        "请用 `preview` 看几条；如不对，请在问题前补上标签",
    ),
    "finding.unlabelled_answers": (
        "{count} answers without a label: the first line was read as question, the lines below as answer",
        "有 {count} 个答案没有标签：首行按问题、其下各行按答案读入",
    ),
    "finding.unlabelled_answers.fix": (
        "look at a few with `preview`; write a label in front of the answers if that is wrong",
        "请用 `preview` 看几条；如不对，请在答案前补上标签",
    ),
    "finding.names_not_there": (
        "named in `roles` and never met in this file: {names}",
        "`roles` 里写了、但本文件中没有出现：{names}",
    ),
    "finding.names_not_there.fix": ("check how they are written in the file", "请检查它们在文件里的写法"),
    "finding.footer": (
        "{count} lines below the last record are not read",
        "最后一条之后的 {count} 行没有读入",
    ),
    "finding.record_fields": (
        "{count} lines of fields below the answers are not read: {names}",
        "答案下面的 {count} 行字段没有读入：{names}",
    ),
    "finding.page_lines": (
        "{count} heads or feet of pages are not read",
        "有 {count} 行页眉页脚没有读入",
    ),
    "finding.media_left_out": (
        "{count} pictures, voice messages, recalled messages and notices were left out",
        "图片、语音、撤回的消息和系统通知共 {count} 处没有读入",
    ),
    "finding.chat_export": (
        "{count} messages of a chat export; their times and names are not learned",
        "聊天记录共 {count} 条消息；时间和昵称不会学进去",
    ),
    "headings_do_not_ask": (
        "{count} headings have text below them, but most of them do not ask; are they the questions?",
        "有 {count} 个标题下面有正文，但多数标题不是问句；要把标题当作问题吗？",
    ),
    "headings_do_not_ask.fix": (
        "write the questions as headings, or label question and answer",
        "请把问题写成标题，或给问题和答案加上标签",
    ),
    "finding.headings_read": (
        "{count} headings were read as questions, the text below each as its answer",
        "有 {count} 个标题按问题读入，其下的正文按答案读入",
    ),
    "finding.section_titles": (
        "{count} titles without a question are not read: {names}",
        "有 {count} 个不含问题的标题没有读入：{names}",
    ),
    "finding.text_beside_questions": (
        "{count} lines belong to no question and are not read",
        "有 {count} 行不属于任何问题，没有读入",
    ),
    "finding.text_beside_questions.fix": (
        "look at the first ones; put a question above them if they should be learned",
        "请查看这些行；需要学习的，请在上面写上问题",
    ),
    "finding.markup_left_out": (
        "{count} lines of scripts, styles, comments, navigation or contents are not read",
        "脚本、样式、注释、导航或目录共 {count} 行没有读入",
    ),
    "finding.table_without_pairs": (
        "a table of {count} rows without columns for question and answer is not read",
        "有一个 {count} 行的表格没有问题列和答案列，没有读入",
    ),
    "finding.table_without_pairs.fix": (
        "name its headers with `columns` if it holds data",
        "其中有数据的，请用 `columns` 指出表头",
    ),
}
