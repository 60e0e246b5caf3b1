"""Objects of known programs in the shape of plain records: ChatGPT, Telegram, Argilla, Label Studio, Gemini, LangSmith.

Sources of the layouts: ChatGPT's ``conversations.json`` (a tree of messages under ``mapping``), Telegram Desktop's
``result.json``, Argilla's record schema (``fields``, ``responses`` with a ``status``), Label Studio's JSON export
(``data``, ``annotations`` with ``was_cancelled``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

Record = dict[str, Any]


class DiscardedError(Exception):
    """A record that its annotators discarded."""


_NEW_CONVERSATION = timedelta(hours=6)  # of silence in a chat


def records_of_export(value: Mapping[str, Any]) -> list[Record]:
    """The plain records of an object that one of these programs wrote; the object itself where it is none of theirs.

    Raises:
        DiscardedError: Its annotators discarded it.
    """
    for matches, convert in _EXPORTS:
        if matches(value):
            return list(convert(value))
    return [dict(value)]


def is_export(value: Mapping[str, Any]) -> bool:
    """An object that one of these programs wrote."""
    return any(matches(value) for matches, _ in _EXPORTS)


def _is_chatgpt(value: Mapping[str, Any]) -> bool:
    mapping = value.get("mapping")
    return isinstance(mapping, dict) and all(isinstance(n, dict) and "message" in n for n in mapping.values())


def _from_chatgpt(value: Mapping[str, Any]) -> Iterator[Record]:
    """The branch of the tree that ends in ``current_node``; hidden, empty and tool messages have no text."""
    nodes = value["mapping"]
    at = value.get("current_node") or next((k for k, n in nodes.items() if not n.get("children")), None)
    branch: list[Record] = []
    while at in nodes and len(branch) <= len(nodes):
        branch.append(nodes[at])
        at = nodes[at].get("parent")
    messages = []
    for node in reversed(branch):
        message = node.get("message") or {}
        role = (message.get("author") or {}).get("role", "")
        parts = (message.get("content") or {}).get("parts") or []
        content = "\n".join(part for part in parts if isinstance(part, str)).strip()
        if content and role in ("system", "user", "assistant"):
            messages.append({"role": role, "content": content})
    yield {**{k: v for k, v in value.items() if k != "mapping"}, "messages": messages}


def _is_telegram(value: Mapping[str, Any]) -> bool:
    messages = value.get("messages")
    if not isinstance(messages, list) or not all(isinstance(m, dict) and "date" in m for m in messages):
        return False
    return any("from" in m and "text" in m for m in messages)


def _from_telegram(value: Mapping[str, Any]) -> Iterator[Record]:
    """The chat cut where nobody wrote for hours; what is no message (calls, joins, pins) has no ``from``."""
    others = {k: v for k, v in value.items() if k != "messages"}
    conversation: list[Record] = []
    services, without_text, before = 0, 0, None
    for message in value["messages"]:
        if message.get("type", "message") != "message" or "from" not in message:
            services += 1
            continue
        if not message.get("text"):  # a photo, a voice message, a file
            without_text += 1
            continue
        now = _time(message.get("date"))
        if conversation and before and now and now - before > _NEW_CONVERSATION:
            yield {**others, "messages": conversation}
            conversation = []
        before = now
        conversation.append({"from": message["from"], "text": message.get("text") or ""})
    counted = {"service messages": services, "photos and other media": without_text}
    if conversation:
        yield {**others, "messages": conversation, **{name: count for name, count in counted.items() if count}}


def _time(raw: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(raw))
    except ValueError:
        return None


def _is_argilla(value: Mapping[str, Any]) -> bool:
    responses = value.get("responses")
    listed = isinstance(responses, list) and all(isinstance(r, dict) and "status" in r for r in responses)
    return listed and isinstance(value.get("fields"), dict)


def _from_argilla(value: Mapping[str, Any]) -> Iterator[Record]:
    """Fields and the values of submitted responses.

    Raises:
        DiscardedError: None was submitted.
    """
    record = {k: v for k, v in value.items() if k not in ("fields", "responses")} | value["fields"]
    submitted = not value["responses"]
    for response in value["responses"]:
        if response["status"] == "submitted":
            submitted = True
            record |= {
                k: v.get("value") if isinstance(v, dict) else v for k, v in (response.get("values") or {}).items()
            }
    if not submitted:
        raise DiscardedError
    yield record


def _is_label_studio(value: Mapping[str, Any]) -> bool:
    annotations = value.get("annotations")
    listed = isinstance(annotations, list) and all(isinstance(a, dict) and "result" in a for a in annotations)
    return listed and isinstance(value.get("data"), dict)


def _from_label_studio(value: Mapping[str, Any]) -> Iterator[Record]:
    """The task's data and the texts of its annotations that were not cancelled.

    Raises:
        DiscardedError: All were cancelled.
    """
    if value["annotations"] and all(annotation.get("was_cancelled") for annotation in value["annotations"]):
        raise DiscardedError
    record = {k: v for k, v in value.items() if k not in ("data", "annotations")} | value["data"]
    for annotation in value["annotations"]:
        if annotation.get("was_cancelled"):
            continue
        for result in annotation["result"]:
            texts = (result.get("value") or {}).get("text")
            if texts and result.get("from_name"):
                record[result["from_name"]] = "\n".join(texts) if isinstance(texts, list) else texts
    yield record


def _is_gemini(value: Mapping[str, Any]) -> bool:
    contents = value.get("contents")
    return isinstance(contents, list) and bool(contents) and all(isinstance(c, dict) and "parts" in c for c in contents)


def _from_gemini(value: Mapping[str, Any]) -> Iterator[Record]:
    """``contents`` of ``parts`` as messages, ``systemInstruction`` as system text (Gemini API)."""
    record = {k: v for k, v in value.items() if k not in ("contents", "systemInstruction", "system_instruction")}
    if instruction := value.get("systemInstruction") or value.get("system_instruction"):
        record["system"] = _joined_parts(instruction)
    turns = [{"role": turn.get("role", "user"), "content": _joined_parts(turn)} for turn in value["contents"]]
    yield {**record, "messages": turns}


def _joined_parts(content: Any) -> Any:
    parts = content.get("parts", []) if isinstance(content, dict) else content
    listed = parts if isinstance(parts, list) else [parts]
    texts = [part.get("text") if isinstance(part, dict) else part for part in listed]
    plain = [text for text in texts if isinstance(text, str)]
    return "\n".join(plain) if len(plain) == len(texts) else parts


def _is_langsmith(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get("inputs"), dict) and isinstance(value.get("outputs"), dict)


def _from_langsmith(value: Mapping[str, Any]) -> Iterator[Record]:
    """The values of ``inputs`` and ``outputs``; messages of both are one conversation (LangSmith datasets)."""
    record = {k: v for k, v in value.items() if k not in ("inputs", "outputs")}
    asked, answered = value["inputs"], value["outputs"]
    if isinstance(asked.get("messages"), list) and isinstance(answered.get("messages"), list):
        yield {**record, **asked, **answered, "messages": [*asked["messages"], *answered["messages"]]}
    else:
        yield {**record, **asked, **answered}


_EXPORTS: tuple[tuple[Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any]], Iterator[Record]]], ...] = (
    (_is_chatgpt, _from_chatgpt),
    (_is_telegram, _from_telegram),
    (_is_argilla, _from_argilla),
    (_is_label_studio, _from_label_studio),
    (_is_gemini, _from_gemini),
    (_is_langsmith, _from_langsmith),
)
