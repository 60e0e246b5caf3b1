"""What is said of picture bases."""

TEXTS: dict[str, tuple[str, str]] = {
    "missing": ("there is no such base model", "找不到该基础模型"),
    "missing.fix": (
        "give the folder of a Stable Diffusion pipeline (with model_index.json), such as ./models/tiny-sd",
        "请填写 Stable Diffusion 的 diffusers 文件夹（内有 model_index.json），例如 ./models/tiny-sd",
    ),
    "no_pipeline": (
        "no model_index.json here, so this is no Stable Diffusion pipeline in the layout of diffusers",
        "这里没有 model_index.json，不是 diffusers 格式的 Stable Diffusion 模型",
    ),
    "no_pipeline.fix": (
        "give the folder that holds model_index.json, unet, vae and text_encoder; for texts use "
        "task_type: text-generation",
        "请填写内含 model_index.json、unet、vae、text_encoder 的文件夹；若训练文本，请用 task_type: text-generation",
    ),
    "no_configs": (
        "a single file holds weights only; its configs and tokenizer are looked for in {folder}",
        "单个文件只有权重；其配置和分词器应位于 {folder}",
    ),
    "no_configs.fix": (
        "put the small files of the same model there (model_index.json, scheduler, tokenizer and each config.json), or "
        "use the pipeline's folder as base_model",
        "请把同一模型的小文件（model_index.json、scheduler、tokenizer 及各 config.json）放到那里，"
        "或直接以 diffusers 文件夹作为 base_model",
    ),
    "other_single_file": (
        "the weights are not those of a {found} in the layout of the original Stable Diffusion files",
        "权重不是 {found} 的原版单文件格式",
    ),
    "other_single_file.fix": (
        "take the configs that belong to this file, or another file",
        "请换成与该文件配套的配置，或换一个文件",
    ),
    "pickle": (
        "the weights are pickles ({files}), which can run code when they are read",
        "权重是 pickle 文件（{files}），读取时可能执行代码",
    ),
    "pickle.fix": ("get the same model as .safetensors", "请获取同一模型的 .safetensors 版本"),
    "other_pipeline": ("{found} cannot be trained here; {names} can", "暂不支持训练 {found}；支持 {names}"),
    "other_pipeline.fix": (
        "use a base of Stable Diffusion 1.x or XL",
        "请使用 Stable Diffusion 1.x 或 XL 的基础模型",
    ),
    "other_channels": (
        "the U-Net takes {channels} channels, where a base for text-to-image takes 4 (inpainting models take more)",
        "U-Net 的输入通道数为 {channels}，文生图模型应为 4（局部重绘模型更多）",
    ),
    "other_channels.fix": ("use the text-to-image version of this base", "请使用该模型的文生图版本"),
    "other_prediction": (
        "the base predicts {found}; what predicts noise (epsilon) or v (v_prediction) can be trained",
        "该模型预测的是 {found}；只能训练预测噪声（epsilon）或 v（v_prediction）的模型",
    ),
    "other_prediction.fix": (
        "use a base of Stable Diffusion 1.x or XL",
        "请使用 Stable Diffusion 1.x 或 XL 的基础模型",
    ),
    "other_latents": (
        "the VAE moves its latents ({found}), which is not supported: they would be trained and drawn wrongly",
        "该 VAE 会平移 latent（{found}），暂不支持：训练和绘图都会出错",
    ),
    "other_latents.fix": (
        "use a base of Stable Diffusion 1.x or XL",
        "请使用 Stable Diffusion 1.x 或 XL 的基础模型",
    ),
    "no_targets": (
        "target_modules: {names} names no layer of the {part} that can get an adapter",
        "target_modules：{names} 在 {part} 中没有对应的可加适配器的层",
    ),
    "no_targets.fix": (
        "write attention, mlp, all-linear, or ends of layer names such as to_q, conv1, proj_in",
        "请写 attention、mlp、all-linear，或层名的结尾，如 to_q、conv1、proj_in",
    ),
}
