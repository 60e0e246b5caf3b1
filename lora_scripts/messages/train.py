"""What training says."""

TEXTS: dict[str, tuple[str, str]] = {
    "cannot_save": (
        "the checkpoint could not be written: {reason}; the older ones are as they were",
        "无法写入检查点：{reason}；之前的检查点完好无损",
    ),
    "cannot_save.fix": (
        "free space or choose another output_dir, then go on with resume_from_checkpoint=auto",
        "请腾出空间或更换 output_dir，然后用 resume_from_checkpoint=auto 继续",
    ),
    "not_finite": (
        "step {step}: loss {loss} or gradient norm {norm} is not a finite number; nothing of this step was kept",
        "第 {step} 步：损失 {loss} 或梯度范数 {norm} 不是有限数；这一步的结果没有保留",
    ),
    "not_finite.fix": (
        "lower learning_rate, or set precision: fp32 (bf16 on a card that has it)",
        "请调低 learning_rate，或设置 precision: fp32（支持的显卡可用 bf16）",
    ),
    "not_finite_validation": (
        "after step {step} the validation loss is {loss}, not a finite number",
        "第 {step} 步之后验证损失为 {loss}，不是有限数",
    ),
    "not_finite_validation.fix": (
        "lower learning_rate, or set precision: fp32",
        "请调低 learning_rate，或设置 precision: fp32",
    ),
    "not_finite_adapter": (
        "after step {step} the adapter holds values that are not finite numbers; it is not saved",
        "第 {step} 步之后适配器中出现非有限数，不予保存",
    ),
    "not_finite_adapter.fix": (
        "lower learning_rate and go on from the last checkpoint with resume_from_checkpoint=auto",
        "请调低 learning_rate，并用 resume_from_checkpoint=auto 从上一个检查点继续",
    ),
    "out_of_memory": (
        "memory ran out with one record alone at a time: {reason}",
        "每次只放一条记录仍然内存不足：{reason}",
    ),
    "out_of_memory.fix": (
        "set gradient_checkpointing: true, then quantization: nf4, then a lower max_seq_length",
        "请先设置 gradient_checkpointing: true，再设置 quantization: nf4，再调低 max_seq_length",
    ),
    "halved": (
        "step {step}: memory ran out; {size} records at once from here on, the step itself stays the same",
        "第 {step} 步：内存不足；此后每次同时处理 {size} 条记录，每一步的记录不变",
    ),
    "eval_halved": (
        "validation: memory ran out; {size} records at once, the result stays the same",
        "验证：内存不足；每次同时处理 {size} 条记录，结果不变",
    ),
    "not_finite_optimizer": (
        "after step {step} the optimiser holds values that are not finite numbers; nothing of it is saved",
        "第 {step} 步之后优化器中出现非有限数，不予保存",
    ),
    "not_finite_optimizer.fix": (
        "lower learning_rate and go on from the last checkpoint with resume_from_checkpoint=auto",
        "请调低 learning_rate，并用 resume_from_checkpoint=auto 从上一个检查点继续",
    ),
    "not_writable": ("output_dir cannot be written: {reason}", "output_dir 无法写入：{reason}"),
    "not_writable.fix": ("choose a folder that you may write to", "请选择有写权限的文件夹"),
    "held": ("another run is at work in this output_dir", "另一个训练正在使用该 output_dir"),
    "held.fix": ("wait for it, or choose another output_dir", "请等待其结束，或换一个 output_dir"),
    "interrupted": (
        "stopped at step {step}; a checkpoint was written",
        "已在第 {step} 步停止，检查点已保存",
    ),
    "interrupted.fix": (
        "go on with the same command and resume_from_checkpoint=auto",
        "用同一条命令加上 resume_from_checkpoint=auto 继续（resume）",
    ),
    "stopping": (
        "stop asked for: finishing this step and writing a checkpoint (once more to stop at once)",
        "收到停止请求：完成当前步并写入检查点（再按一次立即停止）",
    ),
    "step_line": (
        "step {step}/{steps}  epoch {epoch:.2f}  loss {loss:.4f}  {speed}  left {left}",
        "步 {step}/{steps}  轮 {epoch:.2f}  损失 {loss:.4f}  {speed}  剩余 {left}",
    ),
    "speed_tokens": ("{speed:.0f} tokens/s", "{speed:.0f} 词元/秒"),
    "speed_pictures": ("{speed:.1f} pictures/s", "{speed:.1f} 张/秒"),
    "eval_line": (
        "step {step}: validation loss {loss:.4f}{mark}",
        "第 {step} 步：验证损失 {loss:.4f}{mark}",
    ),
    "best_mark": ("  (best so far)", "  （目前最好）"),
    "progress": ("training", "训练"),
    "memory": ("memory {gib:.1f} GiB", "内存 {gib:.1f} GiB"),
}
