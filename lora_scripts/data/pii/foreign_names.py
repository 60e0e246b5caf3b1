"""Names with a dot between their parts (买买提·热依木, 约翰·史密斯) and English names with a title or a label."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lora_scripts.data.pii.plain import Found

# Characters that foreign and minority names are written with; a name ends where another character begins.
_SOUNDS = frozenset(
    "阿艾卜埃爱安奥巴拔白拜班邦保鲍贝倍本比彼毕别宾波伯博勃布不查察昌才次达大戴丹当道德登邓狄迪地蒂丁东都杜多顿朵厄恩尔法凡范菲费芬"
    "丰冯佛夫弗甫福富盖甘冈高戈哥格根贡古瓜圭哈海汉合豪赫黑亨洪侯胡华惠霍基及吉加迦贾江杰金津京卡凯坎康考柯科克肯孔库夸奎拉莱赖"
    "兰朗劳勒雷蕾黎里理利力丽莉连廉列林琳留龙隆卢鲁路露伦罗洛玛马麦买曼芒毛梅门蒙米密明缪摩莫默姆木穆纳娜乃南内尼妮涅宁纽农努诺"
    "欧帕潘庞佩彭皮匹平珀普浦奇齐恰乔切钦琴丘曲让热仁荣茹儒瑞若萨赛桑沙莎山珊尚绍舍申圣施什史士斯丝思司松苏素孙索塔泰坦汤唐陶特"
    "腾提廷亭图吐托陀瓦万旺威韦维魏温翁沃乌吾武西希席锡夏香肖谢欣辛兴雄休许逊雅亚央扬耶叶伊依易因英尤于雨玉约云扎泽增赞詹章兆珍真"
    "芝治朱卓兹孜宗祖佐措堆索罕汗守纽奈娅黛薇艺琪妲缇芙菈蓓崔邱义茨修谔瑟翰弥葛菈伽楚顺吕蒂勋嘉伟森伍妥灵策敏略果谟渥卫生芭"
)
_DOT = re.compile("·")
_NOT_SOUNDS = re.compile(
    "地址|地方|地区|大家|大学|都是|都有|不是|不能|不同|不服|不会|不退|不来|不还|金额|因为|因此|京东|多次|于是|及其|连同|当时|高度"
    "|明确|真实|别人|特别|特此|提出|提交|提供|提起|图片|平台|治疗|保证|让我|让他|尚未|丁香|约定|若干|易于|生于|生活|生前|生病|生产|生日|生育|理由|利用"
)
# Words whose last character sounds like the beginning of a name.
_ENDS_BEFORE = re.compile(
    "学生|医生|先生|考生|男生|女生|以及|表明|说明|证明|主席|抵达|到达|总理|助理|代理|经理|护士|博士|女士|院士|人士|骑士|战士|爵士|丈夫|大夫|哥哥|大哥|表哥|其他"
    "|爷爷|奶奶|妈妈|名为|称为"
)
_LONGEST = 9  # characters of one part
_EN_NAME = (
    r"(?:[A-Z]\. ?){0,2}[A-Z][a-z]*(?:['’\-]?[A-Z])?[a-z'’\-]+(?: (?:[A-Z]\. ?)?[A-Z][a-z]*(?:['’][A-Z])?[a-z\-]+){0,2}"
)
_TITLE = re.compile(
    r"(?<![A-Za-z])(?:Mr|Mrs|Ms|Mx|Dr|Prof)(?:\. ?| )(?P<name>" + _EN_NAME + ")"
    r"|(?<![A-Za-z])(?:Miss|Professor|Doctor|Madam) (?P<second>" + _EN_NAME + ")"
    r"|(?<![A-Za-z])(?P<third>" + _EN_NAME + r") ?(?:先生|女士|小姐|教授|博士|医生|律师|经理|老师)"
)
_LABEL = re.compile(
    r"(?:(?i:(?:my name is|full name|contact person|signed by)[ :]{1,3}"
    r"|(?:^|(?<=[\n\"'(,;，。]))[ \t]*(?:name|contact|applicant|patient|recipient):[ ]?)"
    r"|(?:姓名|我叫|名叫|联系人|收件人|申请人|名字叫|名字是|叫做|落款|签名|署名)[ :是为]{0,3})"
    r"(?P<name>[A-Z][a-z'’\-]+(?: [A-Z]\.)?(?: [A-Z][a-z]*(?:['’][A-Z])?[a-z\-]+){1,2})(?![A-Za-z])"
)
# What may stand behind a title, or where a name would, and is none.
_NO_NAME_WORDS = """
The This That And For With From Please Thank Thanks Dear Is Are You Your He She It We President Chairman Chairwoman
Office Minister Speaker Right Chancellor Ambassador Secretary Director Manager Judge Children Universe
"""
_NO_NAMES = frozenset(_NO_NAME_WORDS.split())


def find_foreign_names(text: str) -> Iterator[Found]:
    """Names in plain text that are written in parts, or in English behind a title."""
    if "·" in text:
        yield from _dotted(text)
    for pattern in (_TITLE, _LABEL):
        for match in pattern.finditer(text):
            group = next(name for name, value in match.groupdict().items() if value)
            words = match[group].split()
            while words and words[-1] in _NO_NAMES:
                words.pop()
            if words and words[0] not in _NO_NAMES:
                start, shown = match.start(group), re.sub("(?:['’]s?|-)$", "", " ".join(words))
                yield start, start + len(shown), "name", 41


def _dotted(text: str) -> Iterator[Found]:
    position = 0
    for dot in _DOT.finditer(text):
        if dot.start() < position:
            continue
        start, end = _leftwards(text, dot.start(), position), _rightwards(text, dot.end())
        while text[end : end + 1] == "·" and (further := _rightwards(text, end + 1)) > end + 1:
            end = further
        first, last = dot.start() - start, end - dot.end()
        if first and last and first + last >= 3:
            yield start, end, "name", 41
            position = end


def _leftwards(text: str, dot: int, least: int) -> int:
    start = dot
    while start > max(least, dot - _LONGEST) and text[start - 1] in _SOUNDS:
        two = max(0, start - 2)
        if _NOT_SOUNDS.match(text, start - 1) or _NOT_SOUNDS.match(text, two) or _ENDS_BEFORE.match(text, two):
            break
        start -= 1
    return start


def _rightwards(text: str, dot_end: int) -> int:
    end = dot_end
    while end < min(len(text), dot_end + _LONGEST) and text[end] in _SOUNDS and not _NOT_SOUNDS.match(text, end):
        end += 1
    return end
