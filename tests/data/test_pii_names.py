"""Names are found where words around them say so, and words that begin with a surname are no names."""

from pathlib import Path

import pytest

from lora_scripts.data.pii.find import find_pii
from lora_scripts.data.pii.name_score import name_score

ROOT = Path(__file__).parents[2]


def names(text):
    return [span.value for span in find_pii(text, ["name"])]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("对方叫王建国，不肯赔钱", "王建国"),
        ("房东叫徐兰，不退押金", "徐兰"),
        ("落款：刘芳", "刘芳"),
        ("此致\n敬礼！\n赵倩", "赵倩"),
        ("姓名:李雷 年龄:30", "李雷"),
        ("姓名：白雪", "白雪"),
        ("联系人：诸葛明，电话没人接", "诸葛明"),
        ("申请人：韩梅梅（女）", "韩梅梅"),
        ("被申请人孙志刚未到庭", "孙志刚"),
        ("（签名）冯小刚", "冯小刚"),
        ("甲方代表：贾玲", "贾玲"),
        ("由张国荣负责", "张国荣"),
        ("我老公赵志强不给抚养费", "赵志强"),
        ("我同事令狐冲被打了", "令狐冲"),
        ("董事长任正非表示", "任正非"),
        ("尊敬的周瑜先生", "周瑜"),
        ("我叫买买提·艾力", "买买提·艾力"),
        ("当事人阿卜杜拉•买买提称", "阿卜杜拉•买买提"),
        ("原告阿依古丽·司马义诉称被拖欠工资", "阿依古丽·司马义"),
        ("扎西·次仁来电", "扎西·次仁"),
        ("Dear Mr. Smith, thanks", "Smith"),
        ("Dr. John Watson said", "John Watson"),
        ("我的主管 Ms. O'Brien 不同意", "O'Brien"),
        ("联系 Mr. Zhang 即可", "Zhang"),
        ("My name is Tom Hanks.", "Tom Hanks"),
    ],
)
def test_names_are_found_in_frames_of_many_kinds(text, name):
    assert names(text) == [name]


@pytest.mark.parametrize(
    "text",
    [
        "用户：公司拖欠工资怎么办？",
        "用户：谢谢！",
        "患者：白天咳嗽，晚上发烧",
        "律师：应当先申请仲裁。",
        "员工：常见的加班费怎么算",
        "申请人：公司",
        "联系人：财务",
        "姓名：保密",
        "对方叫外卖",
        "他叫车去医院",
        "落款：公司盖章",
        "由公司承担，由于公司原因，由项目部负责",
        "房东和平台",
        "老公和宝宝都病了",
        "艾灸高血压可以吗，艾灸",
        "曾任审判员的，曾建议复查",
        "根据第XX条和中华人民共和国××法院",
        "国庆加班，元旦加班，周末加班",
        "Mr. President, Ms. Office",
        "北京·朝阳，第一章·总则，数据·安全，血压120·80",
        "**3. 渐进性肌肉放松**：这种技术有效",
        "Game Name: Shape Explorers",
    ],
)
def test_words_that_begin_with_a_surname_are_no_names(text):
    assert names(text) == []


def test_nothing_in_the_law_example_is_a_name():
    text = (ROOT / "data/law_train/train.txt").read_text(encoding="utf-8")
    assert len(text) > 20_000
    assert [n for line in text.split("\n") for n in names(line)] == []


def test_real_statutes_hold_next_to_no_names(shared_data):
    text = "".join(p.read_text(encoding="utf-8") for p in sorted((shared_data / "zh_law_statutes").glob("*.*")))
    assert len(text) > 100_000
    assert len([n for line in text.split("\n") for n in names(line)]) <= 2


def test_names_score_above_words_that_begin_with_a_surname():
    people = ("贾光明", "刘格菘", "苏姿丰", "唐小东", "邓心怡", "王长田", "崔树旺", "陈德康")
    words = ("公司", "班组", "包工头", "项目部", "应当", "解除", "劳动", "时间", "呼吸科")
    assert min(map(name_score, people)) > 2 > max(map(name_score, words))
