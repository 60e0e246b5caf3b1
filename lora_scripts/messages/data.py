"""Texts of the data room: reading, cleaning, splitting, the report."""

TEXTS: dict[str, tuple[str, str]] = {
    # refusals
    "missing": ("there is no such file or folder", "没有这个文件或文件夹"),
    "missing.fix": (
        "check train_data_dir; paths are relative to the working directory",
        "请检查 train_data_dir；路径相对于当前工作目录",
    ),
    "empty_folder": ("no file with training data in this folder", "文件夹里没有可读的训练数据文件"),
    "empty_folder.fix": ("put files of these kinds into it: {kinds}", "请放入以下类型的文件：{kinds}"),
    "empty_file": ("the file is empty", "文件是空的"),
    "empty_file.fix": ("fill it or take it away", "请补上内容，或移走该文件"),
    "cannot_open": ("the file cannot be opened: {error}", "文件打不开：{error}"),
    "cannot_open.fix": ("check its permissions", "请检查文件权限"),
    "not_yet": ("{suffix} files are not read", "暂不读取 {suffix} 文件"),
    "not_yet.fix": (
        "save it as .xlsx, .docx or CSV (UTF-8) in the program that made it, and give that file",
        "请在原来的程序里另存为 .xlsx、.docx 或 CSV（UTF-8）后再使用",
    ),
    "binary": (
        "this is not text (it holds control bytes and fits no encoding)",
        "这不是文本文件（含有控制字节，不符合任何编码）",
    ),
    "binary.fix": ("export the data as text, CSV or JSONL", "请把数据导出为文本、CSV 或 JSONL"),
    "binary_kind": (
        "this is a {kind} file under another suffix, not text",
        "这其实是 {kind} 文件（改了后缀），不是文本",
    ),
    "binary_kind.fix": (
        "open it in its program and save it as text or CSV (UTF-8)",
        "请用原来的程序打开，另存为文本或 CSV（UTF-8）",
    ),
    "bad_bytes": ("byte {offset} is not valid {encoding}", "第 {offset} 字节不是合法的 {encoding}"),
    "bad_bytes.fix": (
        "repair that line, or save the whole file again as UTF-8",
        "请修复该行，或把整个文件重新另存为 UTF-8",
    ),
    "mixed_encodings": (
        "two encodings in one file: {good} lines are UTF-8, {bad} are not; the other one begins at byte {offset}",
        "一个文件里有两种编码：{good} 行是 UTF-8，{bad} 行不是；从第 {offset} 字节起换了编码",
    ),
    "mixed_encodings.fix": (
        "if two files were joined, split it in front of line {line}; if lines were pasted in, save it again as UTF-8",
        "如果是两个文件接在一起，请在第 {line} 行前拆开；如果是粘贴进来的行，请统一另存为 UTF-8",
    ),
    "unknown_encoding": (
        "the text's encoding cannot be told (not UTF-8, UTF-16, GB18030 or Big5)",
        "无法判断文本编码（不是 UTF-8、UTF-16、GB18030 或 Big5）",
    ),
    "unknown_encoding.fix": ("save the file as UTF-8", "请把文件另存为 UTF-8"),
    "no_pairs": ("no question with an answer in this file", "文件里没有一组问答"),
    "no_pairs.fix": (
        "write “User: …” and “Agent: …” lines, or a CSV/JSONL with question and answer; other speakers: `roles`",
        "请写成“用户：……”“律师：……”，或带问题列和答案列的 CSV/JSONL；其他称呼用 `roles` 指定",
    ),
    "no_colon": (
        "lines begin with “{user}” and “{assistant}” but without a colon, so where the name ends is a guess",
        "有些行以“{user}”“{assistant}”开头，但没有冒号，称呼到哪里为止只能靠猜",
    ),
    "no_colon.fix": (
        "add the colons, or set roles: {{user: [{user}], assistant: [{assistant}]}}",
        "请补上冒号，或设置 roles: {{user: [{user}], assistant: [{assistant}]}}",
    ),
    "choose_reading": (
        "put the line of the reading that is meant into the config (or `read_records(…)`): {alternatives}",
        "请把正确读法的那一行写进配置文件：{alternatives}",
    ),
    "ambiguous_roles": (
        "several pairs of speakers fit; which one asks and which one answers?",
        "有几组说话人都说得通：谁在问、谁在答？",
    ),
    "ambiguous_roles.fix": ("set roles to one of: {guesses}", "请把 roles 设为其中之一：{guesses}"),
    "bad_role": ("{name} is not a role", "{name} 不是角色名"),
    "bad_role.fix": ("use user, assistant or system", "请用 user、assistant 或 system"),
    "two_roles": ("{name} stands under two roles", "{name} 同时写在两个角色下"),
    "two_roles.fix": ("keep it under one", "请只保留一个"),
    "ambiguous_columns": ("several columns could be the {side}", "有几列都可能是{side}"),
    "side.question": ("question", "问题"),
    "side.answer": ("answer", "答案"),
    "bad_column_key": ("{name} is not a key of columns", "{name} 不是 columns 的键"),
    "bad_column_key.fix": (
        "use question, answer, rejected, input, system or history",
        "请用 question、answer、rejected、input、system 或 history",
    ),
    "no_column": ("there is no column {name}; there are: {there}", "没有 {name} 这一列；现有：{there}"),
    "no_column.fix": ("correct `columns`", "请改正 `columns`"),
    "no_columns": (
        "which columns or keys hold question and answer? There are: {there}",
        "哪一列（键）是问题，哪一列是答案？现有：{there}",
    ),
    "no_columns.fix": (
        "name them in the config: `columns: {{question: …, answer: …}}`; or add a header row",
        "请在配置中写明 `columns: {{question: …, answer: …}}`；或补上表头",
    ),
    "not_json": ("this is not JSON: it begins with neither {{ nor [", "这不是 JSON：开头既不是 {{ 也不是 ["),
    "not_json.fix": (
        "give the file the suffix of what it is (.txt, .csv), or export it again",
        "请改成实际类型的后缀（.txt、.csv），或重新导出",
    ),
    "broken_json": ("broken JSON at column {column}: {error}", "第 {column} 列起 JSON 损坏：{error}"),
    "broken_json.fix": (
        "repair it, or write one object a line (.jsonl): then only broken lines are left out",
        "请修复，或改成每行一个对象（.jsonl），那样只会跳过坏行",
    ),
    "no_answers": ("none of {count} records has an answer", "{count} 条记录全都没有答案"),
    "no_answers.fix": (
        "fill in the answers, or name the right column or speaker (`columns`, `roles`)",
        "请补上答案，或用 `columns`、`roles` 指出正确的列或称呼",
    ),
    "nothing_left": (
        "nothing to train on: {count} records read, all left out ({reasons})",
        "没有可训练的记录：读入 {count} 条，全部剔除（{reasons}）",
    ),
    "nothing_left.fix": ("the first one is {first}; look at it there", "第一条在 {first}，请查看"),
    # how a file was read
    "detail.transcript": (
        "{user} → user; {assistant} → assistant; {mode}",
        "{user} → 用户；{assistant} → 助手；{mode}",
    ),
    "detail.headings": ("headings: questions; the text below: answers", "标题为问题，其下正文为答案"),
    "detail.heading": ("heading", "标题"),
    "detail.body": ("text", "正文"),
    "detail.unlabelled": ("(no label)", "（无标签）"),
    "detail.pairs": ("one question and answer each", "一问一答"),
    "detail.conversations": ("conversations of several turns", "多轮对话"),
    "detail.table": ("delimiter {delimiter}; {columns}", "分隔符 {delimiter}；{columns}"),
    "detail.objects": ("{shapes}", "{shapes}"),
    "detail.not_used": ("{detail} (not used: {names})", "{detail}（未使用：{names}）"),
    "detail.headless": (
        "delimiter {delimiter}; no header: question, answer",
        "分隔符 {delimiter}；没有表头：问题、答案",
    ),
    "detail.workbook": ("{sheets}", "{sheets}"),
    "detail.fields": ("two fields a line: question, answer", "每行两栏：问题、答案"),
    "detail.numbered": ("numbered questions, the answer below each", "编号的问题，答案在其下"),
    "detail.neighbours": ("neighbouring lines: question, answer", "相邻两行：问题、答案"),
    "detail.blocks": ("blocks: first line question, the rest answer", "按段落：首行为问题，其余为答案"),
    # notes on single records
    "same_as": ("the same as {source}", "与 {source} 相同"),
    "note.blank_line": ("blank line", "空行"),
    "note.bad_row": ("quotes do not close or fit: {error}", "引号不配对：{error}"),
    "note.header_again": ("the header once more", "表头又出现了一次"),
    "note.ragged": ("{there} fields where the header has {wanted}", "有 {there} 个字段，表头是 {wanted} 个"),
    "note.formula": (
        "a formula without a stored result; open the file in Excel and save it",
        "公式没有保存结果；请用 Excel 打开并保存",
    ),
    "note.no_turns": ("no speaker in this part of the file", "文件的这一部分里没有说话人"),
    "note.bad_json": ("broken JSON at column {column}: {error}", "第 {column} 列起 JSON 损坏：{error}"),
    "note.not_an_object": ("neither an object nor a list of messages", "既不是对象，也不是消息列表"),
    "note.no_pair": ("no question and answer among the keys {keys}", "这些键里没有问题和答案：{keys}"),
    "note.bad_value": ("{name} holds something that is not text", "{name} 里不是文本"),
    "note.bad_message": ("a message without speaker and words", "有一条消息缺少说话人或内容"),
    "note.tool_calls": ("holds tool calls, which are not trained", "含有工具调用，暂不训练"),
    "note.unknown_role": ("unknown speaker {name}; see `roles`", "不认识的说话人 {name}；可用 `roles` 指定"),
    "note.not_text": ("has pictures, sound or video beside the text", "除文本外还有图片、声音或视频"),
    "note.not_text_part": ("holds a part of the kind {kind}", "含有 {kind} 类型的内容"),
    # reasons
    "reason.unreadable": ("cannot be read", "无法读取"),
    "reason.no_pair": ("no question and answer", "没有问答"),
    "reason.not_text": ("not only text", "不是纯文本"),
    "reason.tool_calls": ("tool calls", "工具调用"),
    "reason.unknown_role": ("unknown speaker", "未知说话人"),
    "reason.empty_question": ("empty question", "问题为空"),
    "reason.empty_answer": ("empty answer", "答案为空"),
    "reason.placeholder_answer": ("placeholder for an answer", "占位答案"),
    "reason.empty_rejected": ("empty rejected answer", "较差的答案为空"),
    "reason.placeholder_rejected": ("placeholder for a rejected answer", "较差的答案是占位符"),
    "reason.same_answers": ("chosen and rejected answer are the same", "两个答案相同"),
    "reason.not_a_preference": ("no rejected answer", "没有较差的答案"),
    "reason.no_common_question": ("two answers without a question in common", "两个答案没有共同的问题"),
    "reason.orphan_question": ("question without answer", "有问无答"),
    "reason.context_only": ("no turn to learn (weight 0)", "没有要学习的回答（weight 为 0）"),
    "reason.orphan_answer": ("answer without question", "有答无问"),
    "reason.misplaced_system": ("system text inside a conversation", "系统提示在对话中间"),
    "reason.too_long": ("longer than max_seq_length", "超过 max_seq_length"),
    "reason.asked_in_training": ("question asked in training too", "问题也在训练数据中"),
    "reason.exact_duplicate": ("exact duplicate", "完全重复"),
    # findings
    "finding.invisible_characters": (
        "{count} invisible characters or odd spaces were removed",
        "去掉了 {count} 个不可见字符或特殊空格",
    ),
    "finding.preamble": (
        "text before the first speaker (lines 1-{lines}) is not read",
        "第一个说话人之前的文字（第 1-{lines} 行）没有读入",
    ),
    "finding.headings": (
        "{count} lines above the questions were taken for headings and are not read: {names}",
        "问题上方的 {count} 行按标题处理，没有读入：{names}",
    ),
    "finding.learned_roles": ("speakers learned from this file: {names}", "从本文件学到的称呼：{names}"),
    "finding.learned_roles.fix": ("set `roles` if that is wrong", "如不对，请设置 `roles`"),
    "finding.pairs_without_gap": (
        "{count} questions follow without a gap; each was taken as a record of its own",
        "有 {count} 个问题前面没有空行，各按一条单独的问答处理",
    ),
    "finding.pairs_without_gap.fix": (
        "put --- between conversations if they have several turns",
        "如是多轮对话，请在对话之间加一行 ---",
    ),
    "finding.uneven_gaps": (
        "{few} or {many} blank lines stand between questions ({count} times {many}); each is a record of its own",
        "问题之间有时空 {few} 行，有时空 {many} 行（{count} 处）；各按一条单独的问答处理",
    ),
    "finding.uneven_gaps.fix": (
        "put --- between conversations if they have several turns",
        "如是多轮对话，请在对话之间加一行 ---",
    ),
    "finding.rows_above_header": ("{lines} lines above the header are not read", "表头以上 {lines} 行没有读入"),
    "finding.stray_encoding": (
        "{count} lines are {other} in a file of {main} and were decoded as such: lines {lines}",
        "文件是 {main}，其中 {count} 行是 {other}，已分别解码：第 {lines} 行",
    ),
    "finding.stray_encoding.fix": ("look at those lines; save the file as UTF-8", "请检查这些行，并把文件另存为 UTF-8"),
    "finding.formulas": (
        "sheet {name}: {count} cells are formulas; their stored results were read",
        "工作表 {name}：{count} 个单元格是公式，读入的是其保存的结果",
    ),
    "finding.formulas.fix": (
        "open and save the file in Excel if it may be out of date",
        "如果结果可能过期，请用 Excel 打开并保存",
    ),
    "finding.hidden_sheets": ("hidden sheets are not read: {names}", "隐藏的工作表没有读入：{names}"),
    "finding.hidden_sheets.fix": ("show them in Excel if they hold data", "其中有数据的，请在 Excel 里取消隐藏"),
    "finding.sheets_without_header": (
        "sheets without columns for question and answer are not read: {names}",
        "没有问题列和答案列的工作表没有读入：{names}",
    ),
    "finding.sheets_without_header.fix": (
        "name the headers with `columns` if they hold data",
        "其中有数据的，请用 `columns` 指出表头",
    ),
    "finding.cells_without_header": (
        "sheet {name}: {count} cells beside the header are not read",
        "工作表 {name}：表头之外还有 {count} 个单元格有内容，没有读入",
    ),
    "finding.tables_without_header": (
        "tables without columns for question and answer are not read: number {names}",
        "没有问题列和答案列的表格没有读入：第 {names} 个",
    ),
    "finding.tables_without_header.fix": (
        "name the headers with `columns` if they hold data",
        "其中有数据的，请用 `columns` 指出表头",
    ),
    "finding.text_not_read": (
        "{lines} lines of text beside the tables hold no pairs and are not read",
        "表格以外的 {lines} 行文字里没有问答，没有读入",
    ),
    "finding.notes_not_read": ("not read: {names}", "没有读入：{names}"),
    "finding.lines_joined": (
        "{count} lines that the page's width had cut were joined again",
        "{count} 处因页宽折断的行已接上",
    ),
    "finding.running_lines": (
        "{count} lines stand at the head or foot of most pages and are not read",
        "有 {count} 种页眉或页脚没有读入",
    ),
    "finding.pages_without_text": (
        "{count} pages hold no text (pictures?) and are not read: {pages}",
        "有 {count} 页没有文字（图片？），没有读入：{pages}",
    ),
    "finding.pages_without_text.fix": (
        "run text recognition (OCR) over them if they hold data",
        "其中有数据的，请先做文字识别（OCR）",
    ),
    "finding.no_header": (
        "no header; the first column was read as question, the second as answer",
        "没有表头；第一列按问题、第二列按答案读入",
    ),
    "finding.no_header.fix": (
        "look at a few with `preview`; write a header row if that is wrong",
        "请用 `preview` 看几条；如不对，请补上表头",
    ),
    "finding.fields_assumed": (
        "no header: {count} lines of two fields were read as question and answer",
        "没有表头：{count} 行两栏文字按“问题、答案”读入",
    ),
    "finding.fields_assumed.fix": (
        "look at a few with `preview`; write a header row if that is wrong",
        "请用 `preview` 看几条；如不对，请补上表头",
    ),
    "finding.numbered_assumed": (
        "no speakers: {count} numbered questions were read with the lines below as answers",
        "没有称呼：{count} 个编号的问题按“其下各行为答案”读入",
    ),
    "finding.numbered_assumed.fix": (
        "look at a few with `preview`; write speakers' names if that is wrong",
        "请用 `preview` 看几条；如不对，请补上称呼",
    ),
    "finding.neighbours_assumed": (
        "no speakers: {count} pairs of neighbouring lines were read as question and answer",
        "没有称呼：{count} 组相邻的两行按“问题、答案”读入",
    ),
    "finding.neighbours_assumed.fix": (
        "look at a few with `preview`; write speakers' names if that is wrong",
        "请用 `preview` 看几条；如不对，请补上称呼",
    ),
    "finding.blocks_assumed": (
        "no speakers: {count} blocks were read as first line question, the rest answer",
        "没有称呼：{count} 个段落按“首行问题、其余答案”读入",
    ),
    "finding.blocks_assumed.fix": (
        "look at a few with `preview`; write speakers' names if that is wrong",
        "请用 `preview` 看几条；如不对，请补上称呼",
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
    "finding.speakers_left_out": (
        "{count} messages by others than user and assistant are left out: {names}",
        "有 {count} 条消息既不是用户也不是助手所说，没有采用：{names}",
    ),
    "finding.speakers_left_out.fix": ("name them in `roles`, if they are meant", "若需要，请在 `roles` 里写明"),
    "finding.tools_not_shown": (
        "{count} conversations list tools; the model is not shown them",
        "{count} 段对话列出了工具；模型看不到它们",
    ),
    "finding.turns_joined": (
        "{count} conversations had turns of one speaker in a row, now joined: {places}",
        "{count} 段对话里同一人连续发言，已合并：{places}",
    ),
    "finding.greeting_dropped": (
        "{count} conversations begin with the assistant; that first turn is not used: {places}",
        "{count} 段对话由助手开头，这一句没有使用：{places}",
    ),
    "finding.last_question_dropped": (
        "{count} conversations end with a question; that last turn is not used: {places}",
        "{count} 段对话以问题结尾，这一句没有使用：{places}",
    ),
    "finding.near_duplicates": (
        "{count} records differ from an earlier one only in spaces, punctuation or case: {places}",
        "{count} 条记录与前面的只差空格、标点或大小写：{places}",
    ),
    "finding.near_duplicates.fix": (
        "keep one of each, or their answers weigh more",
        "请各留一条，否则它们的权重会变大",
    ),
    "finding.different_answers": (
        "{count} questions have different answers: {places}",
        "{count} 个问题有不同的答案：{places}",
    ),
    "finding.different_answers.fix": ("keep the right one, unless both are wanted", "若非有意，请只留正确的"),
    "finding.not_read": (
        "{count} files of kinds that are not read: {places}",
        "{count} 个文件的类型不在读取之列：{places}",
    ),
    "finding.not_read.fix": (
        "export what holds data as .txt, .csv or .jsonl",
        "其中有数据的，请导出为 .txt、.csv 或 .jsonl",
    ),
    "finding.paper_not_read": ("not taken for data ({why})", "没有当作数据（{why}）"),
    "finding.hidden": ("{count} hidden files were passed over", "跳过了 {count} 个隐藏文件"),
    "finding.empty_file": ("the file is empty", "文件是空的"),
    "finding.guessed_encoding": ("the encoding {encoding} is a guess", "编码 {encoding} 是推测的"),
    "finding.guessed_encoding.fix": (
        "look at a few records; save the file as UTF-8 if they are wrong",
        "请看几条；如不对，请另存为 UTF-8",
    ),
    "finding.replacement_characters": (
        "the file itself holds {count} replacement characters (U+FFFD): an earlier conversion lost text",
        "文件里本来就有 {count} 个替换字符（U+FFFD）：之前的转换已经丢了字",
    ),
    "finding.replacement_characters.fix": ("go back to the original file", "请找回原始文件"),
    "finding.no_validation": (
        "no record could be set aside for validation ({count} records)",
        "没有记录可留作验证（共 {count} 条）",
    ),
    "finding.no_validation.fix": (
        "8 records with two different questions are needed, or give eval_data",
        "至少要 8 条、两个不同的问题，或另给 eval_data",
    ),
    # the report
    "report.title": ("Data report", "数据报告"),
    "report.read": ("read", "读入"),
    "report.trained": ("trained", "训练"),
    "report.validation": ("validation", "验证"),
    "report.left_out": ("left out", "剔除"),
    "report.decisions": ("How each file was read", "各文件的读法"),
    "report.findings": ("Findings", "发现"),
    "report.sum": (
        "{read} read = {trained} trained + {validation} validation + {left_out} left out",
        "读入 {read} = 训练 {trained} + 验证 {validation} + 剔除 {left_out}",
    ),
    "report.file": ("file", "文件"),
    "report.encoding": ("encoding", "编码"),
    "report.format": ("shape", "格式"),
    "report.detail": ("taken as", "读法"),
    "report.where": ("where", "位置"),
    "report.reason": ("reason", "原因"),
    "report.note": ("note", "说明"),
    "report.fix": ("what to do", "怎么办"),
    "report.more": ("{count} more in data_report.json", "其余 {count} 条见 data_report.json"),
    "report.none": ("none", "无"),
    "severity.info": ("note", "提示"),
    "severity.warning": ("warning", "警告"),
    "severity.danger": ("danger", "危险"),
    "reason.picture_empty": ("empty picture files", "空的图片文件"),
    "reason.no_picture": ("no pictures, whatever their names say", "名为图片而不是图片"),
    "reason.picture_broken": ("broken pictures", "损坏的图片"),
    "reason.picture_too_large": ("pictures of too many pixels", "像素过多的图片"),
    "reason.picture_too_small": ("pictures too small to show anything", "过小的图片"),
    "reason.line_outside": ("lines that name no path below the folder", "不是文件夹内相对路径的行"),
    "reason.line_unnamed": ("lines that name no picture", "没有写图片名的行"),
    "reason.line_without_picture": ("lines whose picture is not there", "图片不存在的行"),
    "reason.line_again": ("second lines for one picture", "同一图片的重复行"),
    "reason.picture_other_kind": ("neither PNG, JPEG, WEBP nor BMP", "PNG、JPEG、WEBP、BMP 以外的图片"),
    "reason.picture_link": ("links to pictures", "图片的链接"),
    "reason.picture_trained": ("validation pictures that are trained on too", "同时用于训练的验证图片"),
}
