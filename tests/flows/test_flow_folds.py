"""Every question validates in one fold, folds that are done are not trained again, and the figures add up."""

import json
from statistics import fmean, stdev

import pytest
from calling import pairs, write_rows

from lora_scripts.assemble.text import folds as room
from lora_scripts.assemble.text.folds import fold_figures, fold_sides
from lora_scripts.assemble.text.parts import gather
from lora_scripts.assemble.text.trial import trial
from lora_scripts.config import load_config
from lora_scripts.data.records import Message, Record
from lora_scripts.data.split import LEFT_OUT, TRAINING, VALIDATION
from lora_scripts.errors import DataError

QUICK = {
    "max_steps": None, "epochs": 2, "eval_steps": None, "batch_size": 8, "gradient_accumulation_steps": 1,
    "target_modules": None, "sample_questions": None,
}  # fmt: skip


def record(question, answer, number, synthetic=False):
    return Record((Message("user", question), Message("assistant", answer)), f"a:{number}", synthetic)


def records(count=24):
    return [record(q, a, n) for n, (q, a) in enumerate(pairs(0, count))]


def sides_of(rows, k, seed=1):
    return [list(map(int, sides)) for sides in fold_sides(rows, k, seed)]


@pytest.mark.parametrize("k", [2, 5, 20])
def test_every_record_validates_in_exactly_one_fold(k):
    sides = sides_of(records(), k)
    assert all(set(fold) == {TRAINING, VALIDATION} for fold in sides)
    assert [sum(fold[i] == VALIDATION for fold in sides) for i in range(24)] == [1] * 24
    sizes = [fold.count(VALIDATION) for fold in sides]
    assert max(sizes) - min(sizes) <= 1


def test_records_with_the_same_question_stay_together():
    rows = [*records(20), record(pairs()[0][0] + "?", "另一种回答，写法完全不同。", 99)]
    for fold in sides_of(rows, 5):
        assert fold[0] == fold[20]


def test_a_synthetic_record_never_validates_nor_trains_beside_its_source():
    question, answer = pairs()[3]
    rows = [*records(20), record(f"请问，{question}", answer, 50, synthetic=True)]
    for fold in sides_of(rows, 4):
        assert fold[20] == (LEFT_OUT if fold[3] == VALIDATION else TRAINING)


def test_more_folds_than_questions_are_refused():
    with pytest.raises(DataError) as refused:
        fold_sides(records(4), 5, 0)
    assert "only 4 different questions" in str(refused.value)


def test_folds_give_mean_and_spread_and_are_not_trained_twice(config, tmp_path, monkeypatch):
    made = load_config(config(**QUICK)).config
    inputs = gather(made)
    trained = []

    def counted(config, inputs, **documents):
        trained.append([d.source for d in documents["validation"]])
        assert not set(trained[-1]) & {d.source for d in documents["training"]}
        if len(trained) == 2:
            raise KeyboardInterrupt
        return trial(config, inputs, **documents)

    monkeypatch.setattr(room, "trial", counted)
    said = []
    with pytest.raises(KeyboardInterrupt):
        fold_figures(made, inputs, 3, tmp_path, said.append)
    assert len(json.loads((tmp_path / "folds.json").read_text())["done"]) == 1
    figures = fold_figures(made, inputs, 3, tmp_path, said.append)
    assert len(trained) == 4, "the first fold was not trained again"
    assert sorted(trained[0] + trained[2] + trained[3]) == sorted(
        d.source for d in [*inputs.rendered.training, *inputs.rendered.validation]
    )
    losses = [fold["best_loss"] for fold in figures["done"]]
    assert figures["loss"] == fmean(losses) and figures["spread"] == stdev(losses)
    assert all(fold["best_loss"] == min(loss for _, loss in fold["losses"][1:]) for fold in figures["done"])
    assert figures == json.loads((tmp_path / "folds.json").read_text())
    assert f"over 3 folds: best validation loss {fmean(losses):.4f} ± {stdev(losses):.4f}" in said[-1]

    assert fold_figures(made, inputs, 3, tmp_path, said.append) == figures and len(trained) == 4
    monkeypatch.setattr(room, "ENOUGH", 10)
    fold_figures(made.model_copy(update={"seed": 5}), inputs, 2, tmp_path, said.append)
    assert any("this differs: folds" in line for line in said) and len(trained) == 6
    assert any("about 2 times longer" in line for line in said)


def test_an_unreadable_file_begins_anew(config, tmp_path):
    made = load_config(config(**QUICK)).config
    (tmp_path / "folds.json").write_text("{")
    said = []
    fold_figures(made, gather(made), 2, tmp_path, said.append)
    assert "begin anew" in said[0] and len(said) == 4


def test_folds_speak_of_records_that_fit_only(config, tmp_path):
    """A record that was dropped as too long has no document, and is in no fold."""
    rows = write_rows(tmp_path / "long" / "train.txt", [*pairs(0, 12), ("长问题" * 200, "好。")]).parent
    made = load_config(config(**QUICK, train_data_dir=str(rows), too_long="drop", max_seq_length=200)).config
    inputs = gather(made)
    figures = fold_figures(made, inputs, 2, tmp_path, lambda line: None)
    assert sum(fold["validation_records"] for fold in figures["done"]) == 12
