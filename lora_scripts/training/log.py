"""What a run shows while it runs: terminal, metrics.jsonl, TensorBoard, loss.png."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lora_scripts.messages import text
from lora_scripts.training.plan import Plan
from lora_scripts.training.run_dir import write_whole
from lora_scripts.training.state import RunState

SHOWN = 3  # answers to sample questions that the terminal shows; metrics.jsonl has them all
LOSSES = {"tokens": "loss (nats a learned token)", "pictures": "loss (mean squared error)"}
Judge = Callable[[RunState, float | None, float, list[tuple[str, str]]], tuple[dict[str, float], list[str]]]
"""(state, mean training loss since the last evaluation, validation loss, answers) → figures to log, lines to print."""


def memory_bytes() -> int:
    """What the run holds now: memory of the card where there is one, else resident memory of the process."""
    if torch.cuda.is_available() and torch.cuda.memory_allocated():
        return torch.cuda.memory_allocated()
    return int(psutil.Process().memory_info().rss)


def peak_memory_bytes() -> int:
    """The most it held so far."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def say(console: Console, words: str) -> None:
    """One line for the user, as it is: no markup, no colours, no breaks."""
    console.print(words, markup=False, highlight=False, soft_wrap=True)


class RunLog:
    """Writes what happens in a run to every place where it is looked for.

    ``ask`` answers the sample questions, ``judge`` says what to think of an evaluation.

    TensorBoard is imported after the first step, since that takes a second in which nothing could be seen.
    """

    def __init__(
        self,
        run_dir: Path,
        plan: Plan,
        state: RunState,
        console: Console,
        *,
        ask: Callable[[], list[tuple[str, str]]] = list,
        judge: Judge = lambda state, train_loss, loss, pairs: ({}, []),
    ) -> None:
        self.run_dir, self.plan, self.console, self.ask, self.judge = run_dir, plan, console, ask, judge
        self._writer: Any = None
        self._thread_hook, threading.excepthook = threading.excepthook, _told_elsewhere
        self._held_back: list[tuple[int, Mapping[str, Any]]] = []
        self._window_tokens, self._window_seconds, self._last_line = 0, 0.0, time.monotonic()
        self._keep_metrics_until(state.step)
        self._metrics = (run_dir / "metrics.jsonl").open("a", encoding="utf-8")
        self._progress: Progress | None = None
        if console.is_terminal:
            self._progress = Progress(
                TextColumn(text("train.progress")),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("loss {task.fields[loss]:.3f}  {task.fields[speed]}  {task.fields[memory]}"),
                TimeRemainingColumn(),
                console=console,
            )
            self._bar = self._progress.add_task(
                "", total=plan.steps, completed=state.step, loss=float("nan"), speed="", memory=""
            )
            self._progress.start()

    def _keep_metrics_until(self, step: int) -> None:
        """Drop lines of steps after the checkpoint that a resumed run starts from; they come again."""
        path = self.run_dir / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() and step else []
        kept = []
        for line in lines:
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except (ValueError, KeyError):
                continue
        write_whole(path, "".join(kept))

    def step(self, state: RunState, *, loss: float, rate: float, norm: float, tokens: int, seconds: float) -> None:
        """Note one optimiser step; every ``log_steps`` steps the mean since the last line is written."""
        state.window_loss += loss
        state.window_steps += 1
        state.since_loss += loss
        state.since_steps += 1
        self._window_tokens += tokens
        self._window_seconds += seconds
        speed = self._window_tokens / max(self._window_seconds, 1e-9)
        if self._progress:
            memory = text("train.memory", gib=memory_bytes() / 2**30)
            self._progress.update(self._bar, completed=state.step, loss=loss, speed=self._fast(speed), memory=memory)
        if state.step % self.plan.log_steps and state.step != self.plan.steps:
            return
        mean = state.window_loss / state.window_steps
        self._write(
            state.step,
            {
                "loss": mean,
                "learning_rate": rate,
                "grad_norm": norm,
                f"{self.plan.unit}_per_second": speed,
                self.plan.unit: state.tokens,
                "memory_bytes": memory_bytes(),
            },
        )
        if not self._progress and (time.monotonic() - self._last_line > 2 or state.step == self.plan.steps):
            self._last_line = time.monotonic()
            seconds_left = (self.plan.steps - state.step) * self._window_seconds / state.window_steps
            left = f"{int(seconds_left // 60)}:{int(seconds_left % 60):02d}"
            epoch = self.plan.epoch_at(state.step)
            self.line(
                text(
                    "train.step_line",
                    step=state.step,
                    steps=self.plan.steps,
                    epoch=epoch,
                    loss=mean,
                    speed=self._fast(speed),
                    left=left,
                )
            )
        state.window_loss, state.window_steps = 0.0, 0
        self._window_tokens, self._window_seconds = 0, 0.0

    def evaluation(self, state: RunState, loss: float, *, best: bool) -> None:
        """Note a validation loss, and what the model answers to the sample questions now."""
        gained = state.first_loss is None or loss < state.first_loss
        mark = text("train.best_mark") if best and gained else ""
        self.line(text("train.eval_line", step=state.step, loss=loss, mark=mark))
        pairs = self.ask()
        train_loss = state.since_loss / state.since_steps if state.since_steps else None
        state.since_loss, state.since_steps = 0.0, 0
        figures, lines = self.judge(state, train_loss, loss, pairs)
        answers = [{"question": q, "answer": a} for q, a in pairs]
        self._write(state.step, {"eval_loss": loss, **figures, "answers": answers})
        for question, answer in pairs[:SHOWN]:
            self.line(f"    {_short(question, 24)} → {_short(answer, 48)}")
        for line in lines:
            self.line(line)

    def _fast(self, speed: float) -> str:
        return text(f"train.speed_{self.plan.unit}", speed=speed)

    def halved(self, state: RunState) -> None:
        """Note that memory ran out in the step after ``state.step``, and what goes through the model at once now."""
        self.line(text("train.halved", step=state.step + 1, size=state.micro_batch))
        self._write(state.step, {"micro_batch": state.micro_batch})

    def line(self, words: str) -> None:
        """Print one line to the log on the terminal."""
        say(self.console, words)

    def _write(self, step: int, values: Mapping[str, Any]) -> None:
        epoch = round(self.plan.epoch_at(step), 4)
        self._metrics.write(json.dumps({"step": step, "epoch": epoch, **values}, ensure_ascii=False) + "\n")
        self._metrics.flush()
        if self._writer is None and step:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.run_dir / "logs"), purge_step=step)
        self._held_back.append((step, values))
        while self._writer is not None and self._held_back:
            self._to_tensorboard(*self._held_back.pop(0))

    def _to_tensorboard(self, step: int, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if name == "answers":
                shown = "\n\n".join(f"**{v['question']}**\n\n{v['answer']}" for v in value)
                self._writer.add_text("answers", shown, step)
            else:
                group = "validation" if name.startswith("eval") else "train"
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        """Flush everything and draw loss.png."""
        threading.excepthook = self._thread_hook
        if self._progress:
            self._progress.stop()
        self._metrics.close()
        if self._writer is not None:
            self._writer.close()
        draw_losses(self.run_dir, LOSSES[self.plan.unit])


def _told_elsewhere(failed: threading.ExceptHookArgs) -> None:
    """TensorBoard's own thread prints a traceback where the disk refuses; its next call raises the same error."""
    if not isinstance(failed.exc_value, OSError):
        threading.__excepthook__(failed)


class Unheard:
    """The log of a rank that does not speak."""

    def step(self, state: RunState, *, loss: float, rate: float, norm: float, tokens: int, seconds: float) -> None:
        """Nothing."""

    def evaluation(self, state: RunState, loss: float, *, best: bool) -> None:
        """Nothing."""

    def halved(self, state: RunState) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def _short(words: str, most: int) -> str:
    line = " ".join(words.split())
    return line if len(line) <= most else line[:most] + "…"


def draw_losses(run_dir: Path, label: str) -> None:
    """Draw loss.png, train and validation loss over steps, from metrics.jsonl."""
    from matplotlib.figure import Figure

    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for key, label, style in (("loss", "train", "-"), ("eval_loss", "validation", "o-")):
        points = [(line["step"], line[key]) for line in lines if key in line]
        if points:
            axes.plot(*zip(*points, strict=True), style, label=label, markersize=4)
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()
    figure.savefig(run_dir / "loss.png", dpi=120)
