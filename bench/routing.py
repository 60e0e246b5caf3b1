"""The learned router: questions sent to their adapter, to another one, and left to the base, on questions set aside.

    python bench/routing.py                                    # the two sample sets
    python bench/routing.py law=DIR medicine=FILE finance=FILE --others more=FILE general=FILE

Each set is what `train` could read. A fifth of its questions is set aside. Then every set in turn is kept from the
router: how many of its questions does it leave to the base? ``--others`` are sets that no router is told of. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence

from lora_scripts.data.reading.formats import read_records
from lora_scripts.serve.routing.learned import LearnedRouter, learn

SETS = ["law=data/law_train", "support=data/support_train"]
OTHERS = ["law_more=data/law_more", "law_eval=data/law_eval", "support_eval=data/support_eval"]


def questions(word: str) -> tuple[str, list[str]]:
    """Name and opening questions of ``NAME=PATH``."""
    name, _, path = word.partition("=")
    return name, [record.question for record in read_records(path).records if record.question.strip()]


def shares(router: LearnedRouter, asked: Sequence[str]) -> dict[str, float]:
    """Share of ``asked`` that goes to each adapter and to the base."""
    chosen = [router.choose(question).to or "base" for question in asked]
    return {name: round(chosen.count(name) / len(chosen), 4) for name in (*router.names, "base")}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=SETS, metavar="NAME=PATH")
    parser.add_argument("--others", nargs="*", default=OTHERS, metavar="NAME=PATH")
    given = parser.parse_args()
    sets, others = dict(map(questions, given.sets)), dict(map(questions, given.others))
    began = time.perf_counter()
    router, measured = learn(sets)
    seconds = time.perf_counter() - began
    rows = [*measured.names, "everyday questions", "kept from it"]
    columns = [*measured.names, "base"]
    print(f"learned in {seconds:.1f} s; to their adapter {measured.accuracy:.1%}, to another {measured.wrong:.1%}\n")
    print(f"{'set aside':>20} " + " ".join(f"{name:>10}" for name in columns))
    for name, counts in zip(rows, measured.confusion.tolist(), strict=True):
        print(f"{name:>20} " + " ".join(f"{count:>10}" for count in counts))
    found = {name: shares(router, asked) for name, asked in others.items()}
    without = {}
    for name in sets if len(sets) > 1 else ():
        alone, _ = learn({other: asked for other, asked in sets.items() if other != name})
        without[name] = shares(alone, sets[name])
    for title, table in (("of other sets", found), ("of a set that the router was not told of", without)):
        print(f"\n{title}:")
        for name, parts in table.items():
            print(f"{name:>20} " + ", ".join(f"{to} {share:.1%}" for to, share in parts.items()))
    asked = [question for one in sets.values() for question in one]
    began = time.perf_counter()
    for question in asked:
        router.choose(question)
    milliseconds = (time.perf_counter() - began) / len(asked) * 1000
    print(f"\n{milliseconds:.2f} ms a question")
    result = {"accuracy": measured.accuracy, "wrong": measured.wrong, "confusion": measured.confusion.tolist()}
    print(json.dumps({**result, "others": found, "without": without, "milliseconds": milliseconds}))


if __name__ == "__main__":
    main()
