"""What a run says."""

TEXTS: dict[str, tuple[str, str]] = {
    "desensitize_off": (
        "desensitize: off, so personal data in the records are trained on as they are",
        "desensitize: off，记录中的个人信息会原样用于训练",
    ),
    "files_changed": (
        "the files changed while they were read",
        "读取过程中文件发生了变化",
    ),
    "files_changed.fix": ("start again when nobody writes to them", "请在没有程序写入这些文件时重新开始"),
    "types_left": (
        "personal data of these usual kinds stay as they are: {names}",
        "以下默认种类的个人信息不作处理：{names}",
    ),
    "no_validation_left": (
        "every validation question stands in the training data too, so nothing would be measured",
        "所有验证问题都出现在训练数据中，无法衡量效果",
    ),
    "no_validation_left.fix": (
        "give other questions in eval_data, or leave it out to split some off",
        "请在 eval_data 中给出不同的问题，或去掉该键，由程序自动划分",
    ),
    "too_long": (
        "{length} tokens, more than max_seq_length {limit}",
        "{length} 个词元，超过 max_seq_length {limit}",
    ),
    "cut": (
        "{count} tokens were cut from the beginning of the question (too_long: cut_prompt)",
        "问题开头被截去 {count} 个词元（too_long: cut_prompt）",
    ),
    "nothing_held_out": (
        "this config holds no record out, so there is nothing to measure",
        "该配置没有留出验证记录，无从衡量",
    ),
    "nothing_held_out.fix": (
        "set eval_ratio above 0, or give eval_data",
        "请将 eval_ratio 设为大于 0，或给出 eval_data",
    ),
    "nothing_left": (
        "no record fits into max_seq_length {limit}, so there is nothing to train on",
        "没有任何记录能放进 max_seq_length {limit}，没有可训练的内容",
    ),
    "nothing_left.fix": ("raise max_seq_length", "请调大 max_seq_length"),
    "foreign_tokenizer": (
        "the tokenizer writes id {highest}, but the model knows ids below {rows} only",
        "分词器产生了编号 {highest}，而模型只认识小于 {rows} 的编号",
    ),
    "foreign_tokenizer.fix": (
        "the folder mixes the files of two models: fetch the tokenizer that belongs to these weights",
        "该文件夹混入了另一个模型的文件：请取回与这些权重配套的分词器",
    ),
    "padded": (
        "this model runs on padded rows, which is slower: {reason}",
        "该模型使用补齐的行，速度较慢：{reason}",
    ),
    "rows_flat": ("flat rows without padding", "无填充的平铺行"),
    "rows_padded": ("padded rows", "补齐的行"),
    "plan_data": (
        "data: {records} records to train, {validation} to validate; {tokens} tokens, {learned} of them learned; "
        "longest {longest}",
        "数据：训练 {records} 条，验证 {validation} 条；共 {tokens} 个词元，其中学习 {learned} 个；最长 {longest}",
    ),
    "plan_steps": (
        "plan: {steps} steps of {per_step} records = {epochs:.1f} epochs; rate {rate:g}, {schedule}",
        "计划：{steps} 步，每步 {per_step} 条 = {epochs:.1f} 轮；学习率 {rate:g}，{schedule}",
    ),
    "plan_model": (
        "model: {trainable:,} of {total:,} parameters are trained ({share:.2f} %); {device}, {precision}, {rows}",
        "模型：训练 {trainable:,} / {total:,} 个参数（{share:.2f} %）；{device}，{precision}，{rows}",
    ),
    "no_weights": (
        "{base} holds no weights: enough to plan a run by its config.json, not to train",
        "{base} 中没有权重：可按其 config.json 预演，无法训练",
    ),
    "skipped": ("{name} is not whole and was passed over: {reason}", "{name} 不完整，已跳过：{reason}"),
    "resumes": ("goes on from {checkpoint} (resume)", "从 {checkpoint} 继续（resume）"),
    "resumes_changed": (
        "these differ from the checkpoint's run, and the rest of the run follows the new ones: {names}",
        "以下设置与该检查点所属的训练不同，其余步骤按新设置进行：{names}",
    ),
    "other_finished": (
        "a finished run lies in this output_dir, and it differs in: {names}",
        "该 output_dir 中有已完成的训练，且以下内容不同：{names}",
    ),
    "other_finished.fix": (
        "choose another output_dir, or begin anew with overwrite=true and without resume_from_checkpoint",
        "请换一个 output_dir，或去掉 resume_from_checkpoint 并用 overwrite=true 重新开始",
    ),
    "not_ours": (
        "in this output_dir lie files that no run of ours left, under names that a run writes: {names}",
        "该 output_dir 中有并非本工具留下的文件，与训练产物同名：{names}",
    ),
    "not_ours.fix": (
        "choose another output_dir, or add overwrite=true to replace them",
        "请换一个 output_dir，或加上 overwrite=true 覆盖这些文件",
    ),
    "disk": ("{reason}; every checkpoint is as it was", "{reason}；已有的检查点完好无损"),
    "disk.fix": (
        "put that right (free space, permissions), then go on with the same command and resume_from_checkpoint=auto",
        "排除故障（腾出空间、检查权限）后，用同一条命令加上 resume_from_checkpoint=auto 继续（resume）",
    ),
    "stopped": ("stopped", "已停止"),
    "stopped.fix": (
        "go on with the same command and resume_from_checkpoint=auto",
        "用同一条命令加上 resume_from_checkpoint=auto 继续（resume）",
    ),
    "best_gone": (
        "{name}, the best so far, is gone or damaged: the best is looked for from here on",
        "此前最好的 {name} 已不在或已损坏：从这里起重新比较",
    ),
    "nothing_to_resume": (
        "resume_from_checkpoint: there is no checkpoint yet, so the run starts fresh",
        "resume_from_checkpoint：还没有检查点，从头开始",
    ),
    "strict": ("--strict: {notes}", "--strict：{notes}"),
    "strict.fix": ("change the keys, or leave --strict out", "请修改相应的键，或去掉 --strict"),
    "finished_there": (
        "a finished run lies in this output_dir",
        "该 output_dir 中已有完成的训练结果",
    ),
    "finished_there.fix": (
        "choose another output_dir, or add overwrite=true to replace it",
        "请换一个 output_dir，或加上 overwrite=true 覆盖它",
    ),
    "unfinished_there": (
        "an unfinished run with checkpoints lies in this output_dir",
        "该 output_dir 中有一次未完成的训练及其检查点",
    ),
    "unfinished_there.fix": (
        "add resume_from_checkpoint=auto to go on with it (resume), or overwrite=true to begin anew",
        "加上 resume_from_checkpoint=auto 继续（resume），或 overwrite=true 重新开始",
    ),
    "already_finished": (
        "this run is finished already: {folder}. overwrite=true without resume_from_checkpoint does it again",
        "这次训练早已完成：{folder}。去掉 resume_from_checkpoint 并加 overwrite=true 可重新训练",
    ),
    "bad_checkpoint": ("this checkpoint cannot be used: {reason}", "该检查点无法使用：{reason}"),
    "bad_checkpoint.fix": (
        "name another checkpoint-N folder, or use resume_from_checkpoint=auto",
        "请指定另一个 checkpoint-N 文件夹，或使用 resume_from_checkpoint=auto",
    ),
    "other_run": (
        "this checkpoint comes from a run that differs in: {names}",
        "该检查点来自另一次训练，以下内容不同：{names}",
    ),
    "other_run.fix": (
        "put these back as they were, or choose another output_dir, or begin anew with overwrite=true",
        "请恢复这些设置，或换一个 output_dir，或用 overwrite=true 重新开始",
    ),
    "best_taken": (
        "the adapter of step {step} (of {steps}) is taken: its validation loss {loss:.4f} was the best",
        "采用第 {step} 步（共 {steps} 步）的适配器：其验证损失 {loss:.4f} 最低",
    ),
    "no_gain": (
        "warning: the validation loss never fell below the base's ({first:.4f}; best {best:.4f}). Try another "
        "learning_rate, more data, or fewer epochs",
        "警告：验证损失从未低于基础模型（{first:.4f}；最好 {best:.4f}）。请尝试其他 learning_rate、更多数据或更少轮数",
    ),
    "no_gain_since": (
        "warning: the validation loss never fell below that of the earlier adapter ({first:.4f}; best {best:.4f}): the "
        "earlier one is the better one on these records. Try a lower learning_rate or more replay",
        "警告：验证损失从未低于此前的适配器（{first:.4f}；最好 {best:.4f}）：在这些记录上此前的适配器更好。"
        "请调低 learning_rate 或调大 replay",
    ),
    "comparing": (
        "answering {count} held-out questions with and without the adapter …",
        "用 {count} 个验证问题比较训练前后……",
    ),
    "no_folds": (
        "folds: figures over folds belong to a fresh start; none are made where a run goes on or trains on",
        "folds：k 折指标只在从头开始时计算；继续训练或增量训练时不计算",
    ),
    "proof_left_out": (
        "verification: {name} is left out, because {reason}",
        "验证：不做 {name} 这一项，因为{reason}",
    ),
    "proving": ("proving: loading the adapter from the disk with stock peft …", "验证：用原版 peft 从磁盘加载适配器……"),
    "not_proven": (
        "the adapter was written but not proven; checks that failed: {failed}",
        "适配器已写出，但未通过验证；未通过的检查：{failed}",
    ),
    "not_proven.fix": (
        "do not use it; what to do about each check stands below, the figures are in proof.json",
        "请勿使用；各项检查的处理办法见下，数值见 proof.json",
    ),
    "result_loss": (
        "validation loss: base {before:.3f} → adapter {after:.3f} ({change:+.0f} %)",
        "验证损失：基础模型 {before:.3f} → 适配器 {after:.3f}（{change:+.0f} %）",
    ),
    "result_form": (
        "answers in the house form: base {before}, adapter {after} of {asked} held-out questions",
        "合乎规范的回答：基础模型 {before} 个，适配器 {after} 个（共 {asked} 个验证问题）",
    ),
    "result_pairs": (
        "pairs in which the better answer is preferred: {share:.0%}",
        "更偏好较好回答的比例：{share:.0%}",
    ),
    "result_figure": ("{name}: base {before}, adapter {after}", "{name}：基础模型 {before}，适配器 {after}"),
    "asked": ("question: {question}", "问：{question}"),
    "before": ("  before: {answer}", "  训练前：{answer}"),
    "after": ("  after:  {answer}", "  训练后：{answer}"),
    "proven": ("proven: {count} checks passed (proof.json)", "验证通过：{count} 项检查（proof.json）"),
    "proven_but": (
        "proven: {count} checks passed, {left_out} left out (proof.json)",
        "验证通过：{count} 项检查，另有 {left_out} 项未做（proof.json）",
    ),
    "where": ("the adapter is in {folder}", "适配器在 {folder}"),
    "try_it": ("try it: {command}", "试一试：{command}"),
    "report.data_report.html": ("what became of every record: {path}", "每条记录的去向：{path}"),
    "report.loss.png": ("losses over the steps: {path}", "损失曲线：{path}"),
    "report.eval.html": (
        "answers before and after, to look over and correct: {path}",
        "训练前后的回答，可浏览并改正：{path}",
    ),
    "report.eval.md": ("the same for a text editor: {path}", "同上，文本编辑器可改：{path}"),
    "correct": (
        "to correct answers: write better ones into {sheet}, then run: {command}",
        "改正回答：把更好的回答写进 {sheet}，然后运行：{command}",
    ),
    "corrections_in": (
        "{count} corrected answers are in {path}, as training records",
        "{count} 条改正后的回答已作为训练记录写入 {path}",
    ),
    "sheet_kept": (
        "the sheet was edited since it was written; it is kept as {path}",
        "评审表写出后被修改过，已保留为 {path}",
    ),
    "dry_run": ("dry run: nothing was trained or written", "仅预演：没有训练，也没有写入文件"),
}
