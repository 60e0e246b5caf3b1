"""Sample sheets: the same prompts from the same noise, drawn by the base and by the adapter as it is now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from lora_scripts.assemble.pictures.parts import PictureInputs, PictureParts
from lora_scripts.config import Config
from lora_scripts.data.pictures.captions import with_trigger
from lora_scripts.data.pictures.sample_sheet import sample_sheet
from lora_scripts.messages import text
from lora_scripts.models.drawing import Strokes, draw, without_adapter
from lora_scripts.training.run_dir import write_whole

FOLDER = "samples"
MOST = 4
STROKES = Strokes()


class Samples:
    """Draws the sheets of one run; the base's pictures are drawn once, and held by ``parts``."""

    def __init__(
        self, config: Config, inputs: PictureInputs, parts: PictureParts, run_dir: Path, say: Callable[[str], None]
    ) -> None:
        self._config, self._inputs, self._parts, self._run_dir, self._say = config, inputs, parts, run_dir, say
        self.prompts = list(config.sample_prompts) or self._own_prompts()

    def _own_prompts(self) -> list[str]:
        trigger = self._config.trigger_word or ""
        shown = [d for d in (*self._inputs.validation, *self._inputs.training) if not d.prior]
        return list(dict.fromkeys(with_trigger(d.caption, trigger) for d in shown))[:MOST]

    def at(self, step: int) -> list[tuple[str, str]]:
        """(prompt, file) of the sheet that is drawn now; none before the first step, where both are the same."""
        if not step:
            return []
        name = f"{FOLDER}/step-{step:06d}.png"
        self.draw(self._run_dir / name)
        return [(prompt, name) for prompt in self.prompts]

    def draw(self, file: Path) -> None:
        """Write a sheet: a row for each prompt, the base's picture left, the adapter's right."""
        file.parent.mkdir(exist_ok=True)
        if not self._parts.base_samples:
            self._say(text("picture_run.drawing", count=len(self.prompts), steps=STROKES.steps))
            write_whole(self._run_dir / FOLDER / "prompts.txt", "\n".join(self.prompts) + "\n")
            with without_adapter(list(self._parts.model.values())):
                self._parts.base_samples = self._drawn()
        sheet = sample_sheet([self._parts.base_samples, self._drawn()])
        if not self._config.random_crop:  # its every step asks the VAE
            self._parts.vae.release()
        half = file.with_name(f".{file.name}.half")
        sheet.save(half, format="PNG")
        half.replace(file)

    def _drawn(self) -> list[Image.Image]:
        captions = self._parts.captions
        parts = {"unet": self._parts.model["unet"], "vae": self._parts.vae()}
        size = self._inputs.validation[0].bucket if self._inputs.validation else self._inputs.training[0].bucket
        strokes = Strokes(STROKES.steps, STROKES.guidance, size)
        seeds = [self._config.seed + i for i in range(len(self.prompts))]
        words, unwanted = captions.words(self.prompts), captions.words([""])
        return draw(self._inputs.base, parts, words, unwanted, seeds, strokes)
