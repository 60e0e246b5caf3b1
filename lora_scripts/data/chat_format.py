"""How a model's conversations are spelled: read once out of the tokenizer's chat template.

A chat template is a program, yet what it writes around the words is a handful of fixed strings. They are found by
rendering marker words through the template and looking at what stands between them; then the same strings are
put together for longer conversations and compared with what the template itself writes. Where the two are equal
the template is *steady*: a prompt is a prefix of every conversation that goes on from it. Where they are not
(Qwen3 writes an empty thinking block before the answer that is asked for, and leaves it out once that answer is
history), no document could be exact for all its turns, so the fixed strings win: every answer opens as the one being
asked for does, in training and in chat, and the adapter carries a template that writes just that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from lora_scripts.errors import DataError
from lora_scripts.messages import text

Tokenizer = Any  # a transformers tokenizer; this room does not import transformers

_SYSTEM, _USER, _ANSWER, _USER2, _ANSWER2 = "Qsystemq", "Qaskedq", "Qansweredq", "Qaskedagainq", "Qansweredagainq"
_NO_THINKING = {"enable_thinking": False}


@dataclass(frozen=True, slots=True)
class Strings:
    """What stands around the words. A conversation is

    ``opening USER ask lead ANSWER next USER ask lead ANSWER close``, or with a system prompt
    ``system[0] SYSTEM system[1] USER …``. A prompt ends after ``ask``; learning begins there.
    """

    opening: str
    system: tuple[str, str]
    ask: str
    lead: str
    close: str
    next: str | None

    def spell(self, system: str, turns: Sequence[tuple[str, str | None]]) -> list[tuple[str, str]]:
        """The conversation as ``(kind, text)``; kind is ``user``, ``answer``, or the name of a fixed string.

        ``turns`` are (question, answer); the last answer is None in a prompt.
        """
        parts = [("opening", self.opening)]
        if system:
            parts = [("opening", self.system[0]), ("user", system), ("opening", self.system[1])]
        for number, (question, answer) in enumerate(turns, start=1):
            parts += [("user", question), ("ask", self.ask)]
            if answer is not None:
                end = self.close if number == len(turns) else self.next or ""
                parts += [("lead", self.lead), ("answer", answer), ("close", end)]
        return parts

    def jinja(self, markup: Sequence[str] = ()) -> str:
        """A chat template that writes these strings, for `apply_chat_template` of stock transformers.

        ``markup`` are markers of the template that it stands for; a comment keeps them known.
        """
        comment = f"{{#- {' '.join(markup)} -#}}" if markup else ""
        once = "{{- raise_exception('this template takes one question only') -}}"
        then = once if self.next is None else f"{{{{- {json.dumps(self.next, ensure_ascii=False)} -}}}}"
        q = {name: json.dumps(value or "", ensure_ascii=False) for name, value in self._named().items()}
        return comment + (
            "{%- if messages[0]['role'] == 'system' -%}"
            f"{{{{- {q['pre']} + messages[0]['content'] | trim + {q['post']} -}}}}{{%- set turns = messages[1:] -%}}"
            f"{{%- else -%}}{{{{- {q['opening']} -}}}}{{%- set turns = messages -%}}{{%- endif -%}}"
            "{%- for message in turns -%}"
            "{%- if message['role'] == 'assistant' -%}"
            f"{{{{- {q['lead']} + message['content'] | trim -}}}}"
            f"{{%- if loop.last -%}}{{{{- {q['close']} -}}}}{{%- else -%}}{then}{{%- endif -%}}"
            "{%- else -%}"
            "{{- message['content'] | trim -}}"
            f"{{%- if not loop.last or add_generation_prompt -%}}{{{{- {q['ask']} -}}}}{{%- endif -%}}"
            "{%- endif -%}{%- endfor -%}"
        )

    def _named(self) -> dict[str, str | None]:
        return {
            "opening": self.opening,
            "pre": self.system[0],
            "post": self.system[1],
            "ask": self.ask,
            "lead": self.lead,
            "close": self.close,
            "next": self.next,
        }


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """How conversations are spelled for one tokenizer.

    ``template`` is the Jinja text to save with the adapter (the tokenizer's own where that is steady, else one that
    writes ``strings``); ``fallback``: the tokenizer had none that could be used; ``note``: what the user should
    know, a sentence a line; ``stop_ids``: generation stops at these; ``end_id`` ends an answer; ``control_ids``: ids
    that only the template may write; ``reserved`` and ``reserved_in_answers`` match their text;
    ``marks``: how many control ids each fixed string holds.
    """

    strings: Strings
    template: str
    fallback: bool
    note: str
    stop_ids: list[int]
    end_id: int
    control_ids: frozenset[int]
    reserved: re.Pattern[str]
    reserved_in_answers: re.Pattern[str]
    marks: dict[str, int]


_KNOWN: WeakKeyDictionary[Any, tuple[object, ChatFormat]] = WeakKeyDictionary()


def template_of(tokenizer: Tokenizer) -> ChatFormat:
    """The chat format of ``tokenizer``, found once and remembered as long as its template stays the same.

    Raises:
        DataError: The tokenizer has no token that could end an answer.
    """
    key = (str(tokenizer.chat_template), len(tokenizer), tokenizer.eos_token)
    known = _KNOWN.get(tokenizer)
    if known is None or known[0] != key:
        known = (key, _inspect(tokenizer))
        _KNOWN[tokenizer] = known
    return known[1]


def _inspect(tokenizer: Tokenizer) -> ChatFormat:
    notes: list[str] = []
    strings: Strings | None = None
    source, merged = "", False
    if tokenizer.chat_template:
        try:
            source = tokenizer.get_chat_template()
            strings, merged = _read_template(tokenizer)
        except Exception as error:  # a template may raise anything, and each means the same: it cannot be used
            notes = [text("render.note_broken", reason=str(error).splitlines()[0] if str(error) else repr(error))]
    fallback = strings is None
    if strings is None:
        source = ""
        strings, note = _chatml(tokenizer)
        notes.append(note)
    strings, ending = _with_an_end(tokenizer, strings)
    steady = not fallback and not ending and _is_steady(tokenizer, strings, ("",) if merged else ("", _SYSTEM))
    dated = "strftime_now" in source
    if ending:
        notes.append(text("render.note_no_end", eos=tokenizer.eos_token))
    elif not steady and not fallback:
        notes.append(text("render.note_steady", ask=json.dumps(strings.ask, ensure_ascii=False)))
    if dated:
        notes.append(text("render.note_dated"))
    if merged:
        notes.append(text("render.note_system_merged"))
    return _finish(tokenizer, strings, source, steady and not dated and not merged, fallback, "\n".join(notes))


def _render(tokenizer: Tokenizer, *words: str, ask: bool, **options: object) -> str:
    """The template's own text of marker words; a system prompt comes first if it is there."""
    messages, role = [], "user"
    for word in words:
        named = "system" if word == _SYSTEM else role
        messages.append({"role": named, "content": word})
        if named != "system":
            role = "assistant" if role == "user" else "user"
    written: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask, **options)
    return written


def _between(written: str, *words: str) -> list[str]:
    """What stands before, between and after ``words``. Raises ValueError where one is missing or doubled."""
    parts = re.split("|".join(words), written)
    if re.findall("|".join(words), written) != list(words):
        raise ValueError(text("render.reason_question"))
    return parts


def _read_template(tokenizer: Tokenizer) -> tuple[Strings, bool]:
    """The fixed strings, and whether a system prompt is merged with the first question for want of a place."""
    merged = False
    prompt = _render(tokenizer, _USER, ask=True, **_NO_THINKING)
    opening, ask = _between(prompt, _USER)
    whole = _render(tokenizer, _USER, _ANSWER, ask=False, **_NO_THINKING)
    before_answer, close = _between(whole, _USER, _ANSWER)[1:]
    lead = before_answer[len(ask) :]
    if not whole.startswith(prompt) or lead.strip():
        ask, lead = before_answer, ""  # the answer's own opening belongs to the prompt: only words are learned
    try:
        pre, post, _ = _between(_render(tokenizer, _SYSTEM, _USER, ask=True, **_NO_THINKING), _SYSTEM, _USER)
    except Exception:
        pre, post, merged = opening, "\n\n", True
    following: str | None
    try:
        talk = _render(tokenizer, _USER, _ANSWER, _USER2, ask=True, **_NO_THINKING)
        following = _between(talk, _USER, _ANSWER, _USER2)[2]
    except Exception:
        following = None
    return Strings(opening, (pre, post), ask, lead, close, following), merged


def _chatml(tokenizer: Tokenizer) -> tuple[Strings, str]:
    """ChatML, where the tokenizer brings nothing.

    Where its markers are no tokens they are spelled out, and each turn ends with the end-of-sequence token, which
    generation can stop at and which a user's text cannot forge.
    """
    # an empty text shows what the tokenizer puts around every text by itself
    bos = tokenizer.bos_token if tokenizer.bos_token_id in tokenizer("")["input_ids"][:1] else ""
    if tokenizer.bos_token_id == tokenizer.eos_token_id:
        bos = ""
    own = all(_single(tokenizer, marker) for marker in ("<|im_start|>", "<|im_end|>"))
    end = "<|im_end|>" if own else tokenizer.eos_token
    if not end:
        raise DataError("render.no_end")
    start = f"{end}\n<|im_start|>"
    strings = Strings(
        opening=f"{bos}<|im_start|>user\n",
        system=(f"{bos}<|im_start|>system\n", f"{start}user\n"),
        ask=f"{start}assistant\n",
        lead="",
        close=f"{end}\n",
        next=f"{start}user\n",
    )
    return strings, text("render.note_fallback") if own else text("render.note_fallback_eos", eos=end)


def _single(tokenizer: Tokenizer, marker: str) -> bool:
    return len(ids_of(tokenizer, [marker])[0]) == 1 and marker in tokenizer.get_added_vocab()


def ids_of(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Token ids of each text, markers read as tokens, nothing added."""
    if not texts:
        return []
    encoded: list[list[int]] = tokenizer(
        texts, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False, verbose=False
    )["input_ids"]
    return encoded


def _added(tokenizer: Tokenizer) -> dict[int, tuple[str, bool]]:
    """id → (text, is it special) of every token beside the learned vocabulary, the unknown token left out."""
    found = {i: (t.content, bool(t.special)) for i, t in tokenizer.added_tokens_decoder.items()}
    found |= {tokenizer.convert_tokens_to_ids(t): (t, True) for t in tokenizer.all_special_tokens}
    return found


def _end_of(tokenizer: Tokenizer, close: str) -> tuple[str, int] | None:
    """The first marker in ``close``, which ends an answer: its text and id."""
    added = _added(tokenizer)
    return next(((added[i][0], i) for i in ids_of(tokenizer, [close])[0] if i in added and added[i][0].strip()), None)


def _with_an_end(tokenizer: Tokenizer, strings: Strings) -> tuple[Strings, bool]:
    """The strings, with an end-of-turn token after every answer; and whether one had to be put there."""
    end = _end_of(tokenizer, strings.close)
    added = end is None
    if end is None:
        if not tokenizer.eos_token:
            raise DataError("render.no_end")
        end = (tokenizer.eos_token, tokenizer.eos_token_id)
    close = end[0] + strings.close if added else strings.close
    following = strings.next
    if following is not None and (_end_of(tokenizer, following) or ("", -1))[1] != end[1]:
        following, added = end[0] + following, True
    return Strings(strings.opening, strings.system, strings.ask, strings.lead, close, following), added


def _is_steady(tokenizer: Tokenizer, strings: Strings, systems: Sequence[str]) -> bool:
    """Whether the template, called as anyone calls it, writes just these strings, whatever the turn."""
    talk = (_USER, _ANSWER, _USER2, _ANSWER2, "Qthirdq")
    lengths = range(1, 1 + (1 if strings.next is None else len(talk)))
    for system in systems:
        for words in (talk[:n] for n in lengths):
            pairs = [(words[i], words[i + 1] if i + 1 < len(words) else None) for i in range(0, len(words), 2)]
            ours = "".join(part for _, part in strings.spell(system, pairs))
            try:
                theirs = _render(tokenizer, *([system] if system else []), *words, ask=len(words) % 2 == 1)
            except Exception:
                return False
            if ours != theirs:
                return False
    return True


def _finish(tokenizer: Tokenizer, strings: Strings, source: str, keep: bool, fallback: bool, note: str) -> ChatFormat:
    end = _end_of(tokenizer, strings.close)
    assert end is not None  # _with_an_end has put one there
    added = _added(tokenizer)
    control = {i: word for i, (word, special) in added.items() if special and i != tokenizer.unk_token_id} | {
        end[1]: end[0]
    }
    words = {word for word, special in added.values() if special} | {end[0]}
    # markup that the template itself uses (<think>, <tool_call>) may be said by an answer, never by a question
    markup = {
        word for word, special in added.values() if not special and any(c.isalpha() for c in word) and word in source
    }
    marks = {
        name: sum(i in control for i in ids_of(tokenizer, [piece or ""])[0]) for name, piece in strings._named().items()
    }
    stops = [end[1]] + [i for i in (tokenizer.eos_token_id,) if i is not None and i != end[1]]
    return ChatFormat(
        strings=strings,
        template=source if keep else strings.jinja(sorted(markup)),
        fallback=fallback,
        note=note,
        stop_ids=stops,
        end_id=end[1],
        control_ids=frozenset(control),
        reserved=_any_of(words | markup),
        reserved_in_answers=_any_of(words),
        marks=marks,
    )


def _any_of(words: set[str]) -> re.Pattern[str]:
    """Matches where any of ``words`` begins, overlapping ones too (hence the look-ahead)."""
    longest_first = sorted((re.escape(w) for w in words if len(w) > 1), key=len, reverse=True)
    return re.compile(f"(?={'|'.join(longest_first)})" if longest_first else r"(?!)")
