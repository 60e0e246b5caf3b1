"""Who asks and who answers in conversations that come as messages with names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from lora_scripts.data.reading.ambiguity import Settings
from lora_scripts.data.reading.names import TOOL_NAMES, person_role, role_of
from lora_scripts.data.reading.row_head import Head

# (plain name, content) of the messages of one conversation.
Talk = Sequence[tuple[str, str]]

_FEW_STRANGERS = 0.2  # share of conversations with an unknown speaker up to which these are left out


def learn_speakers(talks: Sequence[Talk], given: Mapping[str, str], head: Head) -> tuple[dict[str, str], list[str]]:
    """Plain name → role, and the names that were learned, for speakers whose names are not known as such.

    Args:
        talks: The first conversations.
        given: Plain name → role as the user gave them.
        head: Asks.

    Raises:
        AmbiguousDataError: Nothing tells who asks and who answers.
    """
    known = given.keys() | TOOL_NAMES
    unknown = {name for talk in talks for name, _ in talk if name not in known and not role_of(name)}
    strange = sum(any(name in unknown for name, _ in talk) for talk in talks)
    if not unknown or strange <= _FEW_STRANGERS * len(talks):
        return dict(given), []
    roles = speaker_roles(talks, given)
    if not any({"user", "assistant"} <= {roles.get(name) for name, _ in talk} for talk in talks):
        counts = Counter(name for talk in talks for name, _ in talk)
        first = Counter(talk[0][0] for talk in talks if talk).most_common(1)[0][0]
        others = [name for name, _ in counts.most_common(3) if name != first]
        pairs = [(first, other) for other in others] + [(other, first) for other in others]
        settings: list[Settings] = [{"roles": {"user": [asks], "assistant": [answers]}} for asks, answers in pairs]
        raise head.question("reading.which_speaker_asks", settings, names=", ".join(counts))
    return roles, sorted(unknown & roles.keys())


def speaker_roles(conversations: Sequence[Talk], given: Mapping[str, str]) -> dict[str, str]:
    """Plain name → role for the speakers of conversations; a name in doubt is missing.

    Evidence: what the user gave, names of roles, role words within a name (``李律师``, ``客服小美``), who is in many
    conversations (staff) and who in one (a customer), and who is left where the other side is known.

    Args:
        conversations: (plain name, content) of each message, by conversation.
        given: Plain name → role as the user gave them.
    """
    roles = dict(given)
    if {"user", "assistant"} <= set(roles.values()):
        return roles
    names = {name for conversation in conversations for name, _ in conversation}
    for name in names - roles.keys():
        if role := role_of(name) or person_role(name):
            roles[name] = role
    unknown = names - roles.keys()
    presence = Counter(name for conversation in conversations for name in {n for n, _ in conversation})
    if unknown and len(conversations) >= 3 and "assistant" not in roles.values():
        often = {n for n in unknown if presence[n] >= max(3, 0.3 * len(conversations))}
        rare = {n for n in unknown if presence[n] <= max(1, 0.1 * len(conversations))}
        if often and rare and len(rare) > len(often):
            roles |= dict.fromkeys(often, "assistant") | dict.fromkeys(rare, "user")
    sides: dict[str, Counter[str]] = defaultdict(Counter)
    for conversation in conversations:
        here = {name for name, _ in conversation}
        strangers, known = here - roles.keys(), {roles[n] for n in here if roles.get(n) in ("user", "assistant")}
        if len(strangers) == 1 and len(known) == 1:
            sides[next(iter(strangers))]["assistant" if known == {"user"} else "user"] += 1
    return roles | {name: votes.most_common(1)[0][0] for name, votes in sides.items() if len(votes) == 1}
