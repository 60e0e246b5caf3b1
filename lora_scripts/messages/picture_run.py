"""What a picture run says."""

TEXTS: dict[str, tuple[str, str]] = {
    "idle_negative": ("with --guidance 1 it has no effect", "--guidance 1 时不起作用"),
    "idle_negative.fix": ("leave it out, or let --guidance be more than 1", "请去掉它，或让 --guidance 大于 1"),
    "not_finite": (
        "what is drawn holds values that are no finite numbers, so there is no picture to keep",
        "画出的数值中有非有限的数，没有可保存的图片",
    ),
    "not_finite.fix": (
        "is a weight far from 1? Or did the training diverge: train anew with a lower learning_rate",
        "请检查权重是否远离 1；训练若已发散，请降低 learning_rate 重新训练",
    ),
    "no_validation": (
        "none of {count} pictures is set aside for validation, so eval_steps and early_stopping_patience do nothing",
        "{count} 张图片中没有留作验证的，因此 eval_steps 和 early_stopping_patience 不起作用",
    ),
    "no_validation.fix": (
        "{least} different pictures are needed, or give eval_data",
        "至少要 {least} 张不同的图片，或另给 eval_data",
    ),
    "fitted": (
        "pictures go into {buckets} sizes; fitting cuts {mean:.0%} of a picture off on average, {most:.0%} at most",
        "图片归入 {buckets} 种尺寸；平均裁去 {mean:.0%}，最多 {most:.0%}",
    ),
    "much_lost": (
        "{count} pictures lose more than {share:.0%} in fitting, since they are very wide or very high",
        "{count} 张图片过宽或过高，裁去超过 {share:.0%}",
    ),
    "enlarged": (
        "{count} pictures are smaller than what they are shown at, and are enlarged",
        "{count} 张图片小于训练尺寸，将被放大",
    ),
    "trained_too": ("the same picture is trained on", "同一张图片也用于训练"),
    "no_validation_left": (
        "every validation picture is among the training pictures, so nothing would be measured",
        "所有验证图片都在训练图片之中，无法衡量效果",
    ),
    "no_validation_left.fix": (
        "give other pictures in eval_data, or leave it out to set some aside",
        "请在 eval_data 中给出不同的图片，或去掉该键，由程序自动划分",
    ),
    "prior": (
        "prior_images: {count} pictures, of which {most} are learned beside",
        "prior_images：共 {count} 张，一同学习 {most} 张",
    ),
    "prior_left": (
        "the others of prior_images stay out: not more than training pictures times repeats",
        "prior_images 其余图片不使用：数量不超过训练图片乘以 repeats",
    ),
    "caption_cut": (
        "the text encoder does not see the end of this caption: “{unseen}”",
        "文本编码器看不到这条说明的结尾：“{unseen}”",
    ),
    "rounded": (
        "resolution: {resolution} is taken as {side}, a multiple of {unit}, as the base needs it",
        "resolution：{resolution} 按 {side} 处理（基础模型要求为 {unit} 的倍数）",
    ),
    "crop_not_cached": (
        "random_crop: each picture goes through the VAE anew at every step, which is slower",
        "random_crop：每步都要重新经过 VAE，速度较慢",
    ),
    "cache_broken": ("{path} is broken, and is made again", "{path} 已损坏，将重新生成"),
    "encoding": ("latents: {done} of {count} pictures are encoded", "latent：已编码 {done}/{count} 张"),
    "reading": ("captions: {done} of {count} are read by the text encoder", "说明：文本编码器已处理 {done}/{count} 条"),
    "drawing": (
        "drawing {count} samples of {steps} steps with and without the adapter …",
        "绘制 {count} 张样图（{steps} 步），对比有无适配器……",
    ),
    "proving": (
        "proving: loading the adapter from the disk with stock diffusers …",
        "验证：用原版 diffusers 从磁盘加载适配器……",
    ),
    "rows_buckets": ("batches of one size", "同尺寸成批"),
    "plan_data": (
        "pictures: {pictures} to train{more}, {records} shown an epoch, {validation} to validate; sizes: {sizes}",
        "图片：训练 {pictures} 张{more}，每轮展示 {records} 张，验证 {validation} 张；尺寸：{sizes}",
    ),
    "plan_prior": (" and {count} of the kind in general", "，另有同类图片 {count} 张"),
    "sample_without_trigger": (
        "sample_prompts: “{prompt}” does not hold the trigger word “{trigger}”",
        "sample_prompts：“{prompt}”中没有触发词“{trigger}”",
    ),
    "sheet": (
        "{count} prompts drawn by the base (left) and with the adapter (right): {file}",
        "{count} 条提示词的对比图（左为基础模型，右为加适配器）：{file}",
    ),
    "no_increment": (
        "a picture run goes on from its own checkpoints only, with the pictures and settings that they were made with",
        "图片训练只能从自己的检查点继续，且图片和设置须与之相同",
    ),
    "no_increment.fix": (
        "name a checkpoint-N folder, use resume_from_checkpoint=auto, or leave it out to start fresh",
        "请指定 checkpoint-N 文件夹，或用 resume_from_checkpoint=auto，或去掉该键从头开始",
    ),
    "generate": (
        "Draw pictures from prompts, with any adapters, each labelled as generated.",
        "按提示词绘制图片，可叠加多个适配器；每张都带生成标识。",
    ),
    "prompt": ("what to draw; may be repeated", "要画什么；可重复"),
    "adapter": (
        "an adapter, DIR or a .safetensors file, with its weight: DIR:0.7; repeated, they are drawn together",
        "适配器文件夹或 .safetensors 文件，可带权重：DIR:0.7；重复则叠加",
    ),
    "base_model": (
        "the base (default: the one that the adapter was trained on)",
        "基础模型（默认：适配器训练时所用）",
    ),
    "output": ("folder for the pictures", "存放图片的文件夹"),
    "count": ("pictures for each prompt", "每条提示词画几张"),
    "seed": ("seed of the first; the same seed draws the same picture", "首张的随机种子；相同种子画出相同图片"),
    "steps": ("steps of the scheduler", "采样步数"),
    "guidance": ("how closely the prompt is followed; 1 is not at all", "贴合提示词的程度；1 为不引导"),
    "negative": ("what to keep out of the picture", "不希望出现的内容"),
    "width": ("width in pixels (default: what the base was made for)", "宽度（像素；默认为基础模型本来的尺寸）"),
    "height": ("height in pixels", "高度（像素）"),
    "mark": (
        "draw the visible mark of generated pictures into the corner too; the label in the file is always written",
        "在角上加可见标识“AI生成”；文件中的隐式标识总会写入",
    ),
    "producer": (
        "who stands in the label as the producer of the content: a name or a code",
        "标识中的内容制作者（名称或编码）",
    ),
    "no_prompt": ("there is nothing to draw: no prompt, or an empty one", "没有可画的内容：没有提示词，或提示词为空"),
    "no_prompt.fix": ('add --prompt "a red circle"', '请加上 --prompt "a red circle"'),
    "no_base": (
        "no base is named, and no adapter tells which one it was trained on",
        "未指定基础模型，适配器也没有记录训练所用的基础模型",
    ),
    "no_base.fix": ("add --base-model DIR", "请加上 --base-model DIR"),
    "odd_side": ("a side of {side} pixels cannot be drawn", "无法绘制边长 {side} 像素的图片"),
    "odd_side.fix": ("take multiples of {unit}, {least} at least", "请取 {unit} 的倍数，至少 {least}"),
    "other_base": (
        "{adapter} was trained on another base than {base}: it may look different from what was proven",
        "{adapter} 训练所用的基础模型不是 {base}：效果可能与验证时不同",
    ),
    "no_trigger": (
        "“{prompt}” does not hold “{trigger}”, the trigger word of {adapter}",
        "“{prompt}”中没有 {adapter} 的触发词“{trigger}”",
    ),
    "prompt_cut": (
        "“{prompt}…”: the text encoder does not see its end: “{unseen}”",
        "“{prompt}…”：文本编码器看不到结尾：“{unseen}”",
    ),
    "texts_only": (
        "this command is for texts, and the config trains pictures",
        "该命令只用于文本，而此配置训练的是图片",
    ),
    "texts_only.fix": (
        "a picture run tells its losses in metrics.jsonl and eval.json, and shows what it draws in samples/",
        "图片训练的损失见 metrics.jsonl 和 eval.json，所绘样图见 samples/",
    ),
}
