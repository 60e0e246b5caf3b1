"""The keys of picture runs; a key's docstring says in English, then in Chinese, what it does (see schema.py)."""

from __future__ import annotations

from pydantic import Field

from lora_scripts.config.section import Section
from lora_scripts.config.values import Sentences, Text, Whole


class PictureKeys(Section):
    """Pictures (`task_type: image-generation`)

    图片（`task_type: image-generation`）
    """

    resolution: Whole | None = Field(None, ge=16, le=4096)
    """Pictures are scaled to about the area of a square of so many pixels a side, in their own proportions; empty: \
what the base was made for.

    图片按原比例缩放到约等于该边长正方形的面积（像素）；不填：基础模型本来的尺寸。
    """
    random_crop: bool = False
    """Cut what a picture has over its bucket off at random sides, anew each time, in place of the same on both; \
latents are then not cached.

    超出分桶尺寸的部分每次随机裁切，而不是两侧均裁；此时不缓存 latent。
    """
    flip: bool = False
    """Show every second picture, at random, as in a mirror.

    随机水平翻转一半的图片。
    """
    trigger_word: Text | None = None
    """Word put in front of every caption that does not hold it within a phrase, by which the style is called later.

    加在每条图片说明前的触发词（说明的短语中已有时保持原位），生成时用它唤起该风格。
    """
    caption_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of pictures shown without their caption, drawn anew each time; makes guidance work better.

    随机去掉说明的图片比例，有助于引导（guidance）。
    """
    shuffle_tags: bool = False
    """Put the tags of a caption, which commas part, in another order each time.

    每次打乱说明中以逗号分隔的标签。
    """
    keep_tags: Whole = Field(0, ge=0, le=1000)
    """With `shuffle_tags`: so many tags at the beginning stay in place; the trigger word always does.

    `shuffle_tags` 时：开头的多少个标签不动；触发词总是不动。
    """
    snr_gamma: float | None = Field(None, gt=0, le=1000)
    """Weigh steps of little noise down to this signal-to-noise ratio (min-SNR, often 5); empty: all alike.

    min-SNR 加权：信噪比高于此值的步按比例减权（常用 5）；不填：不加权。
    """
    noise_offset: float = Field(0.0, ge=0, le=1)
    """Add so much noise that is the same all over a picture, for very dark or very bright ones (often 0.05).

    加入整幅图一致的噪声，便于学习很暗或很亮的图（常用 0.05）。
    """
    train_text_encoder: bool = False
    """Give the text encoder an adapter too.

    文本编码器也加适配器。
    """
    text_encoder_learning_rate: float | None = Field(None, gt=0, le=1)
    """With `train_text_encoder`: its own highest learning rate; empty: the same.

    `train_text_encoder` 时文本编码器的最高学习率；不填：相同。
    """
    repeats: Whole = Field(1, ge=1, le=10_000)
    """Times that each picture comes in an epoch.

    每遍中每张图片出现的次数。
    """
    prior_images: Text | None = None
    """Folder of other pictures of the same kind, learned beside, without the trigger word, against forgetting; at \
most as many as the training pictures times `repeats`.

    同类其他图片（正则化图片）的文件夹，一同学习、不加触发词，防止遗忘；数量不超过训练图片乘以 `repeats`。
    """
    sample_prompts: Sentences = ()
    """Prompts drawn at each evaluation, always from the same noise; empty: four captions of the validation pictures.

    每次评估时用固定噪声绘制的提示词；不填：取四条验证图片的说明。
    """
    cache_latents: bool = True
    """Keep what VAE and text encoder make of pictures and captions on the disk, for later epochs and runs.

    把 VAE 和文本编码器的结果缓存到磁盘，供以后各遍和各次训练使用。
    """
