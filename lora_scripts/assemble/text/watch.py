"""What is seen of a run while it goes on: figures of each evaluation, and what the coach says of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from lora_scripts.assemble.text.parts import Inputs
from lora_scripts.config import Config
from lora_scripts.data.split import TRAINING
from lora_scripts.evaluate.copying import TrainingText, copied_shares, copy_rate, training_text
from lora_scripts.evaluate.measures import house_form
from lora_scripts.evaluate.rules import read_rules
from lora_scripts.training.coach import Figures, Settings, advise, closing
from lora_scripts.training.plan import Plan
from lora_scripts.training.state import RunState


class Watch:
    """Keeps the figures of a run's evaluations; a resumed run has those of the steps before it from metrics.jsonl."""

    def __init__(self, config: Config, inputs: Inputs, plan: Plan, run_dir: Path, state: RunState) -> None:
        self._coach, self._plan, self._inputs = config.coach, plan, inputs
        self._rules = read_rules(config.house_rules)
        self._training: TrainingText | None = None
        self._settings = Settings(
            steps=plan.steps,
            epochs=config.epochs,
            max_steps=config.max_steps,
            learning_rate=config.learning_rate,
            lora_rank=config.lora_rank,
            lora_dropout=config.lora_dropout,
            max_grad_norm=config.max_grad_norm,
            base_parameters=plan.total_parameters - plan.trainable_parameters,
        )
        self._figures = list(_figures_before(run_dir / "metrics.jsonl", state.step))
        before = advise(self._figures, self._settings) if self._figures else None
        self._said = {before.verdict} if before else set()

    def judge(
        self, state: RunState, train_loss: float | None, loss: float, pairs: Sequence[tuple[str, str]]
    ) -> tuple[dict[str, float], list[str]]:
        """Take note of an evaluation and its (question, answer) pairs: figures for the log, lines for the user.

        With ``coach: stop`` it ends the run by ``state.stopped``.
        """
        questions, answers = [q for q, _ in pairs], [a for _, a in pairs]
        figures = Figures(
            state.step, self._plan.epoch_at(state.step), train_loss, loss, self._copies(answers, questions),
            self._in_form(answers),
        )  # fmt: skip
        self._figures.append(figures)
        told = {"train_loss": train_loss, "copy_rate": figures.copy_rate, "house_form": figures.house_form}
        shown = {name: value for name, value in told.items() if value is not None}
        found = advise(self._figures, self._settings) if self._coach != "off" else None
        if found is None or found.verdict in self._said:
            return shown, []
        self._said.add(found.verdict)
        stops = self._coach == "stop" and found.spoils
        state.stopped = state.stopped or stops
        return shown, found.lines(stops=stops)

    def closing_lines(self) -> list[str]:
        """What happened, in plain words, and which lines of the config to change."""
        if self._coach == "off" or len(self._figures) < 2:
            return []
        return closing(self._figures, self._settings).lines()

    def _copies(self, answers: Sequence[str], questions: Sequence[str]) -> float | None:
        if not answers:
            return None
        if self._training is None:
            rows = self._inputs.rows.of(TRAINING)
            self._training = training_text(m.content for r in rows for m in r.messages if m.role == "assistant")
        return copy_rate(copied_shares(answers, self._training, questions))

    def _in_form(self, answers: Sequence[str]) -> float | None:
        count = house_form(answers, answers, self._rules) if answers else None
        return None if count is None else count / len(answers)


def _figures_before(metrics: Path, step: int) -> Iterable[Figures]:
    """The evaluations up to ``step`` that metrics.jsonl tells of; a fresh run has none."""
    lines = metrics.read_text(encoding="utf-8").splitlines() if step and metrics.exists() else []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            seen = json.loads(line)
            if seen["step"] <= step and "eval_loss" in seen:
                yield Figures(
                    seen["step"], seen["epoch"], seen.get("train_loss"), seen["eval_loss"], seen.get("copy_rate"),
                    seen.get("house_form"),
                )  # fmt: skip
