"""Questions and answers of the generated files: written for the project, some composed from lists that fit together."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Pair:
    """A question with its answer; ``followup`` is a second exchange of the same people, where there is one."""

    domain: str
    title: str
    question: str
    answer: str
    followup: tuple[str, str] | None = None


# product, kind of use, warranty, what is to be observed, price protected until, time to the door
PRODUCTS = (
    ("电热水壶", "烧水", "一年半", "加热底座进水造成的损坏不在保修范围内", "三天"),
    ("充电宝", "带上飞机", "一年", "鼓包以后请不要再使用，也不要自行拆开", "两天"),
    ("婴儿推车", "折叠后放进后备箱", "两年", "车轮和布套属于易损件，保修三个月", "五天"),
    ("空气炸锅", "烤一整只鸡", "两年", "内胆涂层请用软布清洗，用钢丝球刮花的不保修", "三天"),
    ("蓝牙耳机", "游泳时戴", "一年", "单只丢失可以按配件价购买，不用整副重买", "两天"),
    ("人体工学椅", "给一米九的人用", "五年", "气压杆终身保修，坐垫的海绵保修两年", "一周"),
    ("净水器", "直接接洗衣机", "三年", "滤芯要按提示更换，超期使用影响整机保修", "四天"),
    ("儿童手表", "装成人的电话卡", "一年", "屏幕摔碎可以优惠更换一次", "两天"),
)
PRODUCT_FRAMES = (
    ("{p}的保修期有多久？", "{p}整机保修{w}，从签收当天开始计算。{note}。"),
    ("请问{p}能不能{use}？", "这款{p}在说明书第{k}页写明了使用范围，{use}不在推荐用法里，建议您选同系列的{k}号型号。"),
    ("{p}大概几天能送到？", "{p}从{city}仓发出，正常{days}左右送到，遇到大促会晚一两天，物流信息可以在订单里看到。"),
)
CITIES = ("杭州", "东莞", "成都", "武汉", "天津", "合肥", "郑州", "泉州")
# facility, where, what is wrong, who repairs, when
FACILITIES = (
    ("门禁", "二单元", "刷脸没有反应", "弱电师傅", "今天下午四点前"),
    ("路灯", "东侧步道", "晚上一闪一闪的", "电工", "今晚天黑之前"),
    ("健身器材", "中心花园", "螺丝松了晃得厉害", "厂家售后", "后天上午"),
    ("水泵房", "地下一层", "一直有很大的嗡嗡声", "设备组", "今天夜里用水低峰时"),
    ("消防通道", "七号楼北边", "被两辆电动车堵住了", "秩序班", "半小时之内"),
    ("充电桩", "地面停车场", "扫码以后不出电", "运营公司", "明天中午前"),
    ("滑梯", "儿童乐园", "边上裂了一道口子", "采购组", "下周三"),
    ("雨水井盖", "南门入口", "压过去会响", "土建师傅", "明天早上"),
)
FACILITY_FRAMES = (
    (
        "{where}的{f}{wrong}，什么时候能修好？",
        "已经登记。{team}会在{when}到现场处理，处理之前我们先放警示牌，修好后拍照发给您。",
    ),
    (
        "{f}老是坏，能不能彻底换掉？",
        "{f}今年已经列入{k}月份的更新计划，费用从公共收益里出，业主委员会表决通过后由{team}施工。",
    ),
    ("谁负责{where}的{f}？", "{where}的{f}由{team}负责，平时每{k}天巡查一次；您发现问题可以在业主群里发照片。"),
)
# leave, days, papers, who approves
LEAVES = (
    ("婚假", "十天", "结婚证复印件", "部门经理"),
    ("陪产假", "十五天", "出生医学证明", "人事主管"),
    ("丧假", "三天", "亲属关系说明", "部门经理"),
    ("病假", "按医嘱", "二级以上医院的病假条", "直属主管"),
    ("育儿假", "每年十天", "子女出生证明", "人事主管"),
    ("工伤假", "按鉴定结论", "工伤认定决定书", "人事总监"),
    ("考试假", "两天", "准考证", "直属主管"),
    ("独生子女护理假", "每年十五天", "父母的住院证明", "人事主管"),
)
LEAVE_FRAMES = (
    ("{x}可以休几天？", "{x}可以休{days}，休假期间工资照发，遇到法定节假日顺延的规则见员工手册第{k}章。"),
    ("申请{x}要交什么材料？", "申请{x}请在系统里上传{papers}，先由{boss}审批，再由人事归档，一般{k}个工作日内完成。"),
    ("{x}能不能拆开休？", "{x}最多可以分{k}次休完，每次都要单独提交申请，由{boss}确认不影响排班以后生效。"),
)
NUMBERS = "一二三四五六七八九十"


def _composed() -> list[Pair]:
    pairs = []
    for i, (p, use, w, note, days) in enumerate(PRODUCTS):
        for j, (q, a) in enumerate(PRODUCT_FRAMES):
            fields = {"p": p, "use": use, "w": w, "note": note, "days": days, "city": CITIES[i], "k": i + 3 + j}
            pairs.append(Pair("shop", p, q.format(**fields), a.format(**fields)))
    for i, (f, where, wrong, team, when) in enumerate(FACILITIES):
        for j, (q, a) in enumerate(FACILITY_FRAMES):
            fields = {"f": f, "where": where, "wrong": wrong, "team": team, "when": when, "k": NUMBERS[(i + 2 * j) % 9]}
            pairs.append(Pair("property", f, q.format(**fields), a.format(**fields)))
    for i, (x, days, papers, boss) in enumerate(LEAVES):
        for j, (q, a) in enumerate(LEAVE_FRAMES):
            fields = {"x": x, "days": days, "papers": papers, "boss": boss, "k": NUMBERS[1 + (i + j) % 4]}
            pairs.append(Pair("hr", x, q.format(**fields), a.format(**fields)))
    return pairs


def _written(name: str) -> list[Pair]:
    blocks: list[list[str]] = []
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            blocks.append([line])
        elif line:
            blocks[-1].append(line)
    pairs = []
    for head, question, *rest in blocks:
        domain, _, title = head[1:].partition("] ")
        more = [line[3:] for line in rest if line.startswith(">> ")]
        answer = "\n".join(line for line in rest if not line.startswith(">> "))
        pairs.append(Pair(domain, title, question, answer, (more[0], more[1]) if more else None))
    return pairs


@cache
def all_pairs(language: str = "zh") -> tuple[Pair, ...]:
    """Every pair of ``zh`` or ``en``."""
    if language == "en":
        return tuple(_written("generated_pairs_en.txt"))
    return (*_written("generated_pairs.txt"), *_composed())


DOMAIN_NAMES = {
    "law": "法律", "medical": "医疗", "finance": "财务", "shop": "售后",
    "hr": "人事", "it": "信息技术", "property": "物业", "edu": "教务",
}  # fmt: skip
# what is asked of whom, by a part of the name
ROLE_DOMAINS = {
    "律师": ("law", "hr"), "医生": ("medical",), "护士": ("medical",), "物业": ("property",), "管家": ("property",),
    "客服": ("shop",), "店员": ("shop",), "人事": ("hr",), "老师": ("edu",), "班主任": ("edu",), "IT": ("it",),
    "话务员": ("property", "edu"), "顾问": ("hr", "law"), "秘书": ("hr", "finance"), "老周": ("it", "finance"),
    "学生": ("law", "finance", "it"), "考生": ("law", "finance", "it"), "保险": ("finance", "law", "medical"),
}  # fmt: skip


def domains_for(role: str, count: int) -> tuple[str, ...]:
    """Domains that fit who answers, so far as there are ``count`` pairs of them; else all."""
    fitting = next((domains for part, domains in ROLE_DOMAINS.items() if part in role), ())
    return fitting if sum(p.domain in fitting for p in all_pairs()) >= count else ()


def draw(
    count: int,
    seed: int,
    *domains: str,
    language: str = "zh",
    one_line: bool = False,
    followup: bool = False,
    asking: bool = False,
) -> list[Pair]:
    """Pairs in a random order that ``seed`` fixes, no question twice.

    Written ones come before composed ones, so that small files read like people.

    Args:
        count: How many.
        seed: Of the order.
        domains: Only of these, where any is named.
        language: ``zh`` or ``en``.
        one_line: Only answers without a line break.
        followup: Only those with a second exchange.
        asking: Only questions that end in a question mark.
    """
    chosen = [p for p in all_pairs(language) if not domains or p.domain in domains]
    chosen = [p for p in chosen if not (one_line and "\n" in p.answer) and not (followup and p.followup is None)]
    chosen = [p for p in chosen if not asking or p.question.endswith(("？", "?"))]
    titles: dict[str, int] = {}
    for p in chosen:
        titles[p.title] = titles.get(p.title, 0) + 1
    rng = random.Random(seed)
    order = sorted(chosen, key=lambda p: (titles[p.title] > 1, rng.random()))[:count]
    assert len(order) == count, f"{count} pairs wanted, {len(order)} there"
    rng.shuffle(order)
    return order


def _fields(name: str) -> list[list[str]]:
    return [line.split("|") for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


Choice = tuple[str, tuple[str, ...], str, str]  # question, options, letter of the right one, explanation


def _choices(name: str) -> tuple[Choice, ...]:
    return tuple((q, tuple(options), key, why) for q, *options, key, why in _fields(name))


CHOICES = _choices("generated_choices.txt")
CHOICES_EN = _choices("generated_choices_en.txt")
PASSAGES = tuple((passage, q, a) for passage, q, a in _fields("generated_passages.txt"))  # the last two in English
SUMS = tuple((q, working, result) for q, working, result in _fields("generated_sums.txt"))
