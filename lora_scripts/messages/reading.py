"""Texts about the reading of running text: questions to the user, and what was made of each line."""

TEXTS: dict[str, tuple[str, str]] = {
    "choose_reading": (
        "put the line of the reading that is meant into the config (or `read_records(…)`): {alternatives}",
        "请把正确读法的那一行写进配置文件：{alternatives}",
    ),
    "ambiguous_columns": ("several columns could be the {side}", "有几列都可能是{side}"),
    "no_columns": (
        "which columns or keys hold question and answer? There are: {there}",
        "哪一列（键）是问题，哪一列是答案？现有：{there}",
    ),
    "no_columns.fix": (
        "name them in the config: `columns: {{question: …, answer: …}}`; or add a header row",
        "请在配置中写明 `columns: {{question: …, answer: …}}`；或补上表头",
    ),
    "side.question": ("question", "问题"),
    "side.answer": ("answer", "答案"),
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
    "finding.answers_first": (
        "in {count} records the answer stands in front of its question; each was turned round",
        "有 {count} 条记录答案在前、问题在后，已对调",
    ),
    "finding.answers_first.fix": (
        "look at a few with `preview`",
        "请用 `preview` 看几条",
    ),
    "finding.third_speakers": (
        "{count} turns of speakers who neither ask nor answer were left out: {names} (lines {lines})",
        "{names} 既不提问也不回答，其 {count} 段话没有读入（第 {lines} 行）",
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
    "finding.record_marks": (
        "{marks} stands at all questions or all answers and is not learned",
        "每个问题或每个答案都带有 {marks}，不会学进去",
    ),
    "answers_apart": (
        "{questions} questions stand in front of {answers} answers, and their numbers do not tell what belongs "
        "together",
        "{questions} 道题目在前、{answers} 个答案在后，按编号无法一一对应",
    ),
    "answers_apart.fix": ("write each answer below its question", "请把每个答案写在它的题目下面"),
    "finding.answers_by_number": (
        "{count} answers below this heading (lines {lines}) were put to the questions above it by their numbers",
        "此标题下的 {count} 个答案（第 {lines} 行），已按题号与上面的题目配对",
    ),
    "finding.answers_by_number.fix": ("look at a few with `preview`", "请用 `preview` 看几条"),
    "finding.subtitles": (
        "{count} times of subtitles are not learned",
        "字幕共 {count} 条时间码，不会学进去",
    ),
    "finding.front_matter": (
        "the front matter (lines {lines}) is not read",
        "文件头部的元数据（第 {lines} 行）没有读入",
    ),
    "finding.stray_lines": (
        "{count} lines below an answer as no other has (titles, comments, remarks) are not read: lines {lines}",
        "答案下面有 {count} 行其他答案都没有的内容（标题、注释、说明等），没有读入：第 {lines} 行",
    ),
    "finding.stray_lines.fix": (
        "look at those lines; remove the blank line above what belongs to the answer",
        "请查看这些行；属于答案的，请去掉它上面的空行",
    ),
    "finding.unusual_lines": (
        "{count} answers go on where the others end (a second line, or one behind a blank line), and are learned with"
        " it: lines {lines}",
        "有 {count} 个答案比其他答案多出内容（另起一行，或隔了空行），已作为答案的一部分学习：第 {lines} 行",
    ),
    "finding.unusual_lines.fix": ("look at those lines", "请查看这些行"),
    "finding.record_fields": (
        "{count} lines of fields below the answers are not read: {names}",
        "答案下面的 {count} 行字段没有读入：{names}",
    ),
    "finding.page_lines": (
        "{count} heads or feet of pages are not read",
        "有 {count} 行页眉页脚没有读入",
    ),
    "finding.media_left_out": (
        "{count} pictures, voice messages, recalled messages and notices were left out: lines {lines}",
        "图片、语音、撤回的消息和系统通知共 {count} 处没有读入：第 {lines} 行",
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
    "finding.hidden_rows": (
        "sheet {name}: {count} hidden rows (a filter, maybe) are read like the others",
        "工作表 {name}：有 {count} 行是隐藏的（可能是筛选），与其他行一样读入",
    ),
    "finding.hidden_rows.fix": ("delete them, if they are not meant", "若不需要，请在 Excel 中删除这些行"),
    "finding.columns_not_understood": (
        "text that is not used, because the name of its column or key says nothing: {names}",
        "有文字没有用上，因为列名（键名）看不出含义：{names}",
    ),
    "finding.columns_not_understood.fix": (
        "name it in `columns` (input, system, history …) if the model needs it; otherwise nothing is to do",
        "模型需要它时，请写进 `columns`（input、system、history …）；不需要则不必处理",
    ),
    "finding.columns_left_out": (
        "another question or answer column is there and not used: {names}",
        "还有其他像问题或答案的列，没有使用：{names}",
    ),
    "finding.columns_left_out.fix": ("set `columns` if that one is meant", "若应使用它，请设置 `columns`"),
    "finding.message_keys_not_used": ("keys of messages that are not used: {names}", "消息里没有使用的键：{names}"),
    "finding.reasoning_kept": (
        "{count} answers have a chain of thought beside them ({names}); it is kept with the record, not trained on",
        "{count} 个回答带有思考过程（{names}）；只保存在记录里，不参与训练",
    ),
    "finding.reasoning_kept.fix": (
        "put it into the answer, if the model is to write it",
        "若要模型写出思考过程，请把它放进答案",
    ),
    "finding.context_turns": (
        "{count} turns have {names} 0: they are context, not trained on",
        "{count} 轮回答的 {names} 为 0：只作上下文，不参与训练",
    ),
    "finding.few_different_answers": (
        "there are only {count} different answers, all short: the model learns to choose, not to write",
        "答案只有 {count} 种短词：模型学会的是选择，而不是写答案",
    ),
    "finding.few_different_answers.fix": (
        "name another column in `columns`, if that is not meant",
        "若非有意，请用 `columns` 指定其他列",
    ),
    "finding.several_questions": (
        "{count} answers have several ways to ask for them; each makes a record of its own",
        "{count} 个答案有多种问法；每种问法各成一条",
    ),
    "finding.several_answers": (
        "{count} questions have several answers; each makes a record of its own",
        "{count} 个问题有多个答案；每个答案各成一条",
    ),
    "finding.several_answers.fix": ("keep the best one, if they contradict each other", "若互相矛盾，请只留最好的一个"),
    "finding.literal_breaks_read": (
        "{count} texts spell their line breaks as \\n; they are read as line breaks",
        "{count} 段文字里换行写成了 \\n；已读作换行",
    ),
    "finding.literal_breaks_kept": (
        "{count} texts hold \\n, which the model would learn to write",
        "{count} 段文字里有 \\n，模型会照样学会写 \\n",
    ),
    "finding.literal_breaks_kept.fix": (
        "replace it by a line break in the file, unless it is meant",
        "若非有意，请在文件中改成真正的换行",
    ),
    "finding.html_read": (
        "{count} texts held HTML (tags, &nbsp; …); it is taken out",
        "{count} 段文字里有 HTML（标签、&nbsp; 等）；已去掉",
    ),
    "finding.html_kept": (
        "{count} texts hold HTML (tags, &nbsp; …), which the model would learn to write",
        "{count} 段文字里有 HTML（标签、&nbsp; 等），模型会照样学会写",
    ),
    "finding.html_kept.fix": ("take it out of the file, unless it is meant", "若非有意，请在文件中去掉"),
    "finding.role_marks_in_text": (
        "{count} texts hold marks of speakers ({names}): conversations inside of one text, learned as they stand",
        "{count} 段文字里有说话人标记（{names}）：一段文字里含有多轮对话，按原样学习",
    ),
    "finding.role_marks_in_text.fix": (
        "write such conversations as `messages`, if their turns are to be told apart",
        "若要区分各轮，请改写成 `messages` 格式",
    ),
    "finding.messages_without_conversation": (
        "{count} rows are one message each, and no column tells which belong together: every question begins a record",
        "{count} 行每行一条消息，但没有会话编号列：每个提问开始一条新记录",
    ),
    "finding.messages_without_conversation.fix": (
        "add a column with the conversation's id, if they are longer conversations",
        "若是多轮对话，请加一列会话编号",
    ),
    "finding.rival_replies": (
        "{count} messages are left out: of several replies to one message the best ranked (else the first) is taken",
        "有 {count} 条消息没有采用：同一条消息有多个回复时，只取排名最好（或最先）的一个",
    ),
    "finding.unfinished_rows": (
        "{count} rows that a column calls unfinished are learned like the others ({names})",
        "有 {count} 行的状态是未完成或未公开，仍照样学习（{names}）",
    ),
    "finding.unfinished_rows.fix": (
        "take them out of the file, if they are not meant",
        "若不应学习，请从文件中删去这些行",
    ),
    "finding.speakers_left_out": (
        "{count} messages by others than user and assistant are left out: {names}",
        "有 {count} 条消息既不是用户也不是助手所说，没有采用：{names}",
    ),
    "finding.speakers_left_out.fix": ("name them in `roles`, if they are meant", "若需要，请在 `roles` 里写明"),
    "finding.discarded_answers": (
        "{count} answers that were discarded by annotators are left out",
        "有 {count} 个答案在标注时已作废（discarded），没有采用",
    ),
    "finding.option_numbers_read": (
        "{count} answers are numbers of options; they are read as letters",
        "{count} 个答案是选项的序号；已读作字母",
    ),
    "finding.rows_joined": (
        "{count} rows go on with the answer of the row above (their question is one merged cell); they are joined",
        "有 {count} 行是上一行答案的延续（问题是合并单元格）；已连成一条",
    ),
}
