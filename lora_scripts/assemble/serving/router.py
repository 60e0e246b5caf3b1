"""A learned router from the training questions of adapters: read from their runs, kept for the next start."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lora_scripts.adapters.files import find_weights
from lora_scripts.adapters.provenance import provenance_of
from lora_scripts.assemble.text.survey import rows_of, survey_for
from lora_scripts.config import load_config
from lora_scripts.data.cache import cache_folder, cache_key
from lora_scripts.errors import LoraScriptsError, ModelError
from lora_scripts.messages import text
from lora_scripts.serve.routing import general_questions, learned, vectors
from lora_scripts.serve.routing.learned import (
    FEWEST_QUESTIONS,
    LearnedRouter,
    Measured,
    learn,
    read_router,
    write_router,
)
from lora_scripts.training.run_dir import RUN

WEAK = 0.7
"""Below this accuracy a router is told to be weak."""


def learned_router_of(
    adapters: Mapping[str, Path], say: Callable[[str], None], *, cache: Path | None = None
) -> LearnedRouter | None:
    """The router between adapters by name, each given as the output folder of its run (or a file in it).

    It is learned from the questions in the data that the runs were trained on, validation ones too, after the cleaning
    and masking of training. An adapter without such data is said and left out. Where every provenance.json has the
    fingerprint of its data the router is kept in ``cache`` and read from there the next time, data or no data.

    Args:
        adapters: Folders by the names that requests use.
        say: Told each line for the user: what is left out, how good the router is.
        cache: A folder; by default that of all caches.

    Returns:
        None where no adapter has questions.
    """
    runs, questions = _runs(adapters, say), {}
    place = (cache or cache_folder() / "routers") / f"{key}.npz" if (key := _key(runs)) else None
    if place and (kept := read_router(place)):
        for line in [text("routing.cached", path=place), *measured_lines(kept[1])]:
            say(line)
        return kept[0]
    for name, run in runs.items():
        try:
            found = _questions(run)
        except LoraScriptsError as e:
            say(text("routing.left_out", name=name, reason=e.problems[0]))
            continue
        if (count := len(set(found))) < FEWEST_QUESTIONS:
            reason = text("routing.few", count=count, needed=FEWEST_QUESTIONS)
            say(text("routing.left_out", name=name, reason=reason))
            continue
        questions[name] = found
    if not questions:
        say(text("routing.nothing"))
        return None
    router, measured = learn(questions)
    for line in measured_lines(measured):
        say(line)
    if place and len(questions) == len(runs):
        _keep(place, router, measured, say)
    return router


def _runs(adapters: Mapping[str, Path], say: Callable[[str], None]) -> dict[str, Path]:
    """The run.yaml of each adapter: beside it, or beside the one that it was shrunk from."""
    found = {}
    for name, path in adapters.items():
        try:
            folder = find_weights(path).parent
        except ModelError as e:
            say(text("routing.left_out", name=name, reason=e.problems[0].text))
            continue
        shrunk_from = provenance_of(folder).get("shrunk_from", {}).get("path")
        places = [folder, *([Path(shrunk_from)] if shrunk_from else [])]
        run = next((place / RUN for place in places if (place / RUN).is_file()), None)
        if run is None:
            say(text("routing.left_out", name=name, reason=text("routing.no_run")))
        else:
            found[name] = run
    return found


def _key(runs: Mapping[str, Path]) -> str | None:
    """What a kept router is filed under: names, data fingerprints, and the code that made it; None without them."""
    prints = {name: provenance_of(run.parent).get("fingerprints", {}).get("data") for name, run in runs.items()}
    if not prints or None in prints.values():
        return None
    code = [inspect.getsource(room) for room in (learned, vectors, general_questions)]
    return cache_key(router=prints, code=code)


def _questions(run: Path) -> list[str]:
    """What users ask in the records of a run, of conversations the opening question."""
    rows = rows_of(survey_for(load_config(run).config))
    return [record.question for record, _ in rows.sided() if record.question.strip()]


def _keep(place: Path, router: LearnedRouter, measured: Measured, say: Callable[[str], None]) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_router(place, router, measured)
    except OSError as e:
        say(text("routing.not_cached", reason=e.strerror or e))


def measured_lines(measured: Measured) -> list[str]:
    """What the user reads about a learned router: accuracy, and what went where."""
    names = [*measured.names, text("routing.base")]
    asked = [*measured.names, text("routing.general"), text("routing.strangers")]
    lines = [text("routing.learned", right=measured.accuracy * 100, wrong=measured.wrong * 100)]
    for name, row in zip(asked, measured.confusion, strict=True):
        if row.sum():
            lines.append(text("routing.row", name=name, chosen=_chosen(names, row.tolist())))
    if measured.shared:
        lines.append(text("routing.shared", count=measured.shared))
    if measured.accuracy < WEAK:
        lines.append(text("routing.weak", bound=WEAK * 100))
    return lines


def _chosen(names: Sequence[str], counts: Sequence[int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True) if count)
