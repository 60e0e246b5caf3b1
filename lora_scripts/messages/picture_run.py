"""What a picture run says."""

TEXTS: dict[str, tuple[str, str]] = {
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
        "pictures: {pictures} and {prior} of the kind in general, {records} an epoch, {validation} to validate; sizes: "
        "{sizes}",
        "图片：{pictures} 张（含同类图片 {prior} 张），每轮 {records} 张，验证 {validation} 张；尺寸：{sizes}",
    ),
    "sheet": (
        "{count} prompts drawn by the base (left) and with the adapter (right): {file}",
        "{count} 条提示词的对比图（左为基础模型，右为加适配器）：{file}",
    ),
    "try_it": (
        'try it: lora-scripts generate --adapter {folder} --prompt "{prompt}"',
        '试一试：lora-scripts generate --adapter {folder} --prompt "{prompt}"',
    ),
    "no_increment": (
        "a picture run goes on from its own checkpoints only, with the pictures and settings that they were made with",
        "图片训练只能从自己的检查点继续，且图片和设置须与之相同",
    ),
    "no_increment.fix": (
        "name a checkpoint-N folder, use resume_from_checkpoint=auto, or leave it out to start fresh",
        "请指定 checkpoint-N 文件夹，或用 resume_from_checkpoint=auto，或去掉该键从头开始",
    ),
}
