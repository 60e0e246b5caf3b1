"""The list for approval holds the values, by type and place, for its owner alone; Chinese names of types are known."""

import csv

import pytest

from lora_scripts.assemble.text.desensitize import desensitize_copy
from lora_scripts.config import load_config
from lora_scripts.config.values import PII_TYPE_NAMES, pii_type_of
from lora_scripts.data.pii.find import PII_TYPES
from lora_scripts.errors import ConfigError, LoraScriptsError, UsageError


def source(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("用户：我叫李雷，打13800138000？\n律师：写信到a@b.cn。\n", encoding="utf-8")
    return tmp_path / "in"


def test_the_list_names_type_place_and_value_and_is_private(tmp_path):
    desensitize_copy(
        source(tmp_path), tmp_path / "out", mode="mask", types="姓名，手机号", list_path=tmp_path / "l.csv"
    )
    with (tmp_path / "l.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert [[row[0], *row[2:]] for row in rows] == [
        ["type", "place", "value"],
        ["phone", "a.txt:1", "13800138000"],
        ["name", "a.txt:1", "李雷"],
    ]
    assert (tmp_path / "l.csv").stat().st_mode & 0o777 == 0o600
    assert "a@b.cn" in (tmp_path / "out/a.txt").read_text("utf-8")


@pytest.mark.parametrize("place", ["in/l.csv", "out/l.csv", "there.csv"])
def test_a_list_among_the_data_or_over_another_file_is_refused_before_anything_is_written(tmp_path, place):
    (tmp_path / "there.csv").write_text("x")
    with pytest.raises(UsageError):
        desensitize_copy(source(tmp_path), tmp_path / "out", mode="mask", types=None, list_path=tmp_path / place)
    assert not (tmp_path / "out").exists() and (tmp_path / "there.csv").read_text() == "x"


def test_the_chinese_names_of_types_are_known_and_mean_one_type_each():
    assert set(PII_TYPE_NAMES) == set(PII_TYPES)
    names = [name for several in PII_TYPE_NAMES.values() for name in several]
    assert len(names) == len(set(names))
    assert [pii_type_of(name) for name in ("身份证", "手机号", "QQ号", "qq号", "IP地址", "phone", "鞋码")] == [
        *("id_card", "phone", "qq", "qq", "ip", "phone", "鞋码")
    ]


@pytest.mark.parametrize("written", ["身份证，手机号", "[身份证, 手机号]", "id_card, 手机号", "身份证、phone"])
def test_the_config_takes_chinese_names_of_types(tmp_path, written):
    file = tmp_path / "c.yaml"
    file.write_text(f"train_data_dir: a\nbase_model: b\noutput_dir: c\ndesensitize_types: {written}\n", "utf-8")
    assert load_config(file, []).config.desensitize_types == ("id_card", "phone")


def test_an_unknown_type_in_the_config_is_answered_with_the_types_and_their_names(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("train_data_dir: a\nbase_model: b\noutput_dir: c\ndesensitize_types: [鞋码]\n", "utf-8")
    with pytest.raises(ConfigError) as error:
        load_config(file, [])
    said = str(error.value)
    assert "c.yaml:4" in said and "id_card 身份证" in said and "medical_no 病历号" in said and "cuda" not in said


def test_an_unknown_type_on_the_command_line_is_refused(tmp_path):
    with pytest.raises(LoraScriptsError):
        desensitize_copy(source(tmp_path), tmp_path / "out", mode="mask", types="手机号,鞋码")
