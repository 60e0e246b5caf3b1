"""Every config key: its type, default, range and meaning. Nothing here reads a file.

A key's docstring says in English, then in Chinese, what it does; ``docs/config.md`` and ``lora-scripts schema``
are made from it. A new key goes into the section that it belongs to, or into a section of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from lora_scripts.config.picture_keys import PictureKeys
from lora_scripts.config.section import Section
from lora_scripts.config.values import (
    AnswerRules,
    Device,
    Names,
    PiiTypes,
    Roles,
    Sentences,
    Text,
    Whole,
)


class DataKeys(Section):
    """Data

    数据
    """

    train_data_dir: Text | None = None
    """Folder or file with the training records. This or `metadata_path` is required.

    训练数据所在的文件夹或文件。与 `metadata_path` 二者必填其一。
    """
    metadata_path: Text | None = None
    """A CSV file with the training records; it is read instead of `train_data_dir`. For pictures: the table of their \
captions, where it does not lie among them.

    含训练数据的 CSV 文件；填写后读它，不读 `train_data_dir`。训练图片时：图片说明表，不在图片文件夹中时填写。
    """
    eval_data: Text | None = None
    """Folder or file with validation records, where they are not to be split off the training records.

    验证数据所在的文件夹或文件；不填则从训练数据中划分。
    """
    eval_ratio: float = Field(0.1, ge=0, lt=1)
    """Share of the training records set aside for validation; 0 trains on all of them and validates nothing.

    从训练数据中划出作验证的比例；0 表示全部用于训练，不做验证。
    """
    columns: (
        dict[
            Literal[
                "question", "answer", "rejected", "system", "input", "history", "speaker", "content", "conversation"
            ],
            Text,
        ]
        | None
    ) = None
    """Which column of a table (key of an object, field of a form) holds what, where the names do not tell: \
`{question: 咨询, answer: 回复}`; `input` is put behind the question, `rejected` makes preference pairs; `speaker`, \
`content` and `conversation` are of tables with one message a row. Several names with 、 between them: each file \
has one.

    列名（键、表单项）看不出含义时，指明各列：`{question: 咨询, answer: 回复}`；`input` 接在问题之后，\
`rejected` 用于偏好对；`speaker`、`content`、`conversation` 用于每行一条消息的表格。\
几个名字用“、”隔开：各文件用其中一个。
    """
    roles: Roles | None = None
    """Names of the speakers, where they do not tell who asks: `{user: [甲], assistant: [乙, 丙]}`.

    角色名看不出谁问谁答时，指明角色：`{user: [甲], assistant: [乙, 丙]}`。
    """
    desensitize: Literal["mask", "pseudonym", "drop", "off"] = "mask"
    """What happens to personal data in records: a mark in their place; the same stand-in for the same value (the key \
in the environment variable `LORA_SCRIPTS_PSEUDONYM_KEY`); the record left out; nothing.

    记录中的个人信息如何处理：mask 打码；pseudonym 同一信息换成同一假名（密钥取自环境变量 \
`LORA_SCRIPTS_PSEUDONYM_KEY`）；drop 剔除该条；off 不处理。
    """
    desensitize_types: PiiTypes | None = None
    """Which kinds of personal data, in place of the usual ten (id_card, phone, email, bank_card, passport, permit, \
plate, wechat, qq, medical_no; their Chinese names are understood too); names, addresses and the rest are found as \
well as can be.

    处理哪些种类的个人信息，代替默认的十种（id_card、phone、email、bank_card、passport、permit、plate、wechat、qq、\
medical_no），也可写中文名（身份证、手机号）；姓名、地址等只能尽力识别。
    """
    system_prompt: Text | None = None
    """System message put before every conversation that has none of its own; `chat` sends it too.

    加在每段没有系统消息的对话之前的系统提示；`chat` 时也会带上。
    """
    max_seq_length: Whole = Field(512, ge=2, le=1_048_576)
    """Longest document in tokens, template included.

    单条文本的最大长度（token 数，含模板）。
    """
    too_long: Literal["stop", "drop", "cut_prompt"] = "stop"
    """What happens to a longer one: stop and list them; drop it; cut its prompt from the left. An answer is never cut.

    超长时：stop 停下并列出；drop 丢弃该条；cut_prompt 从左侧截短提问。回答从不截断。
    """


class ModelKeys(Section):
    """Model and adapter

    模型与适配器
    """

    base_model: Text
    """Folder of the base model (Hugging Face layout); for pictures that of a Stable Diffusion pipeline (diffusers).

    基础模型所在的文件夹（Hugging Face 格式）；训练图片时为 Stable Diffusion 的 diffusers 文件夹。
    """
    task_type: Literal["text-generation", "preference", "image-generation"] = "text-generation"
    """What is trained: answers to questions, the better of two answers (DPO on chosen/rejected pairs), or pictures \
(`text-to-image` is read as `image-generation`).

    训练的任务：text-generation 学习回答；preference 学习两个回答中较好的一个（DPO，数据为 chosen/rejected 对）；\
image-generation 学习图片（也可写作 `text-to-image`）。
    """
    preference_beta: float = Field(0.1, gt=0, le=100)
    """With `task_type: preference`: how strongly the adapter is held to the base; a higher one changes less.

    `task_type: preference` 时：对基础模型的约束强度，越大改变越小。
    """
    quantization: Literal["none", "nf4", "int8"] = "none"
    """The frozen base in 4 or 8 bits: a half to a quarter of the memory, somewhat slower and less exact.

    把冻结的基础模型压到 4 位或 8 位：内存降到一半至四分之一，稍慢，精度略低。
    """
    method: Literal["lora", "rslora", "dora", "ia3"] = "lora"
    """Kind of adapter: `rslora` scales by the root of the rank, `dora` trains the length of each weight too, `ia3` \
trains one factor a feature (no rank, alpha or dropout).

    适配器种类：rslora 按秩的平方根缩放；dora 另训练权重的模长；ia3 每个特征只训练一个系数（没有秩、alpha 和 dropout）。
    """
    lora_rank: Whole = Field(16, ge=1, le=1024)
    """Rank of the adapter: how much it can learn, and how large it is.

    适配器的秩：决定能学多少，也决定文件大小。
    """
    lora_alpha: float = Field(32.0, gt=0, le=65_536)
    """Strength of the adapter: its output is scaled by `lora_alpha / lora_rank`.

    适配器的强度：输出按 `lora_alpha / lora_rank` 缩放。
    """
    lora_dropout: float = Field(0.05, ge=0, lt=1)
    """Share of the adapter's inputs zeroed at random in training; more of it slows over-fitting on small data.

    训练时随机置零的适配器输入比例；数据少时调大可减缓过拟合。
    """
    target_modules: Names | None = None
    """Layers that get an adapter: their names (a list, or one text with commas), or `attention`, `mlp`, `all-linear`. \
Empty: the query and value projections of every attention; for pictures all four projections.

    加适配器的层：层名（列表或逗号分隔），或 `attention`、`mlp`、`all-linear`。不填：每个注意力的 q 和 v；\
训练图片时为全部四个投影。
    """


class TrainingKeys(Section):
    """Training

    训练
    """

    batch_size: Whole = Field(4, ge=1, le=65_536)
    """Records in a batch; a step learns from `batch_size × gradient_accumulation_steps` records.

    每批的记录数；每一步学习 `batch_size × gradient_accumulation_steps` 条记录。
    """
    gradient_accumulation_steps: Whole = Field(1, ge=1, le=65_536)
    """Batches in a step.

    每一步累积的批数。
    """
    epochs: Whole = Field(3, ge=1, le=100_000)
    """Times that every training record is seen.

    每条训练数据学习的遍数。
    """
    max_steps: Whole | None = Field(None, ge=1, le=1_000_000_000)
    """Steps to take; where given, it wins over `epochs`.

    总步数；填写后以它为准，`epochs` 不起作用。
    """
    learning_rate: float = Field(1.5e-4, gt=0, le=1)
    """Highest learning rate, reached after the warm-up.

    最高学习率，预热结束时达到。
    """
    lr_schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the rate goes on after the warm-up: falls to 0 along a cosine or a line, or stays.

    预热之后学习率的走势：按余弦或直线降到 0，或保持不变。
    """
    warmup_ratio: float = Field(0.03, ge=0, lt=1)
    """Share of the steps in which the rate rises from 0; with every schedule.

    学习率从 0 升起所占步数的比例；对各种走势都有效。
    """
    lora_plus_ratio: float | None = Field(None, ge=1, le=1000)
    """Learning rate of the adapter's B matrices as a multiple of that of A (LoRA+); empty: the same.

    适配器 B 矩阵的学习率是 A 矩阵的多少倍（LoRA+）；不填：相同。
    """
    weight_decay: float = Field(0.0, ge=0, le=1)
    """Weight decay of AdamW.

    AdamW 的权重衰减。
    """
    max_grad_norm: float = Field(1.0, ge=0, le=1_000_000)
    """A longer gradient is scaled down to this norm; 0 never scales.

    梯度范数超过此值时按比例缩小；0 表示不缩小。
    """
    seed: Whole = Field(42, ge=0, le=2**32 - 1)
    """Fixes the adapter's start, the split, the order of records and dropout.

    随机种子：决定适配器初值、数据划分、记录顺序和 dropout。
    """
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """Number format of the computation; auto takes the fastest that the device does well. `fp16: true` and \
`bf16: true` are read as `precision: fp16` and `bf16`, `false` as `fp32`.

    计算的数值格式；auto 取设备上合适的最快一种。`fp16: true`、`bf16: true` 读作 `precision: fp16`、`bf16`，\
`false` 读作 `fp32`。
    """
    device: Device = "auto"
    """Where to compute: auto takes CUDA where there is some; `cuda:1` is the second card.

    计算设备：auto 有 CUDA 则用 CUDA；`cuda:1` 为第二张卡。
    """
    gradient_checkpointing: Literal["auto", True, False] = "auto"
    """Compute activations twice instead of keeping them: less memory, more time. `auto` does where the run would not \
fit otherwise.

    重算激活值而不保存：省显存，费时间。auto：放不下时才用。
    """
    shard: bool = False
    """Under `torchrun`: the base is spread over the cards, for one that is larger than a card (FSDP2).

    用 `torchrun` 时：把基础模型分摊到各卡上，用于单卡放不下的模型（FSDP2）。
    """


class EvaluationKeys(Section):
    """Watching and evaluation

    观察与评估
    """

    log_steps: Whole = Field(5, ge=1, le=1_000_000_000)
    """A line of figures is written every so many steps.

    每隔多少步记录一次指标。
    """
    eval_steps: Whole | None = Field(None, ge=1, le=1_000_000_000)
    """Validate every so many steps; empty: once an epoch.

    每隔多少步验证一次；不填：每遍一次。
    """
    coach: Literal["warn", "stop", "off"] = "warn"
    """At over-fitting: say so and go on, or stop there; the best adapter is kept in any case.

    过拟合时：warn 提示并继续；stop 到此停止；off 不提示。无论如何都保留最好的适配器。
    """
    folds: Whole | None = Field(None, ge=2, le=20)
    """Before the run, train so many times with another part of the records held out each time: figures that do not \
hang on one small validation set. Takes as many times as long.

    训练前先做 k 折交叉验证：每次留出不同部分，得到不依赖单个小验证集的指标；耗时约为 k 倍。
    """
    early_stopping_patience: Whole | None = Field(None, ge=1, le=1_000_000)
    """Stop after so many validations without a better loss; empty: never.

    连续多少次验证没有变好就停止；不填：不提前停止。
    """
    sample_questions: Sentences = ()
    """Questions answered at each evaluation; empty: six from the validation records.

    每次评估时回答的问题；不填：从验证数据中取六条。
    """
    answer_rules: AnswerRules | None = None
    """What a good answer looks like: `opening` (a regular expression that it starts with), `disclaimer` (words that \
it holds), `forbidden` (a list of words that it does not), `min_length`, `max_length` (characters), `statutes` (a text \
file, one citable law or article a line).

    好的回答是什么样：`opening` 开头须匹配的正则表达式；`disclaimer` 须含的声明；`forbidden` 禁用词列表；\
`min_length`、`max_length` 字数；`statutes` 可引用法条的文本文件，每行一条，如 `《劳动合同法》第十条`。
    """


class OutputKeys(Section):
    """Output and checkpoints

    输出与检查点
    """

    output_dir: Text
    """Folder for the adapter and all else that the run leaves.

    存放适配器及全部产物的文件夹。
    """
    save_steps: Whole = Field(50, ge=1, le=1_000_000_000)
    """A checkpoint is written every so many steps, and at the end.

    每隔多少步存一个检查点，结束时也存。
    """
    save_total_limit: Whole = Field(3, ge=0, le=1_000_000)
    """Newest checkpoints to keep, besides the best; 0 keeps all.

    除最佳外保留最新的几个检查点；0 表示全部保留。
    """
    resume_from_checkpoint: Text | None = None
    """`auto` goes on from the newest whole checkpoint of `output_dir`, a path from that checkpoint or adapter; empty: \
starts fresh. Where records were added since, only the new ones are trained on, from the weights as they are.

    `auto` 从 `output_dir` 中最新的完好检查点继续，填路径则从该检查点或适配器继续；不填：从头开始。\
若其后增加了新记录，则在现有权重上只训练新记录（增量训练）。
    """
    replay: float = Field(0.2, ge=0, le=1)
    """Share of the earlier records that is trained again beside the new ones, against forgetting.

    增量训练时，连同新记录一起重学的旧记录比例，用以防止遗忘。
    """
    overwrite: bool = False
    """Replace a finished run in `output_dir`; else it stops the new one.

    覆盖 `output_dir` 中已完成的训练；否则新的训练会停下。
    """


SECTIONS: tuple[type[Section], ...] = (DataKeys, ModelKeys, TrainingKeys, PictureKeys, EvaluationKeys, OutputKeys)


class Config(DataKeys, ModelKeys, TrainingKeys, PictureKeys, EvaluationKeys, OutputKeys):
    """One training run: the resolved keys of a config file."""

    @property
    def data_path(self) -> str:
        """Where the training records are: ``metadata_path`` where given, else ``train_data_dir``."""
        return self.metadata_path or self.train_data_dir or ""

    @property
    def draws(self) -> bool:
        """Whether pictures are trained, not words."""
        return self.task_type == "image-generation"

    @property
    def validates(self) -> bool:
        """Whether there are validation records."""
        return self.eval_data is not None or self.eval_ratio > 0

    @property
    def house_rules(self) -> dict[str, Any]:
        """``answer_rules`` as plain values."""
        rules: Mapping[str, Any] = self.answer_rules or {}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in rules.items()}
