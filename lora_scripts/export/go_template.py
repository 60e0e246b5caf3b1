"""The trained spelling as an Ollama template (Go's text/template), and those templates executed.

Only what ``template_of_strings`` writes can be executed: literals, ``.Content``, ``$before``, ``range``, ``if eq``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from lora_scripts.data.chat_format import Strings

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_ROLE = re.compile(r'(?:else )?if eq \.Role (".*")')


def template_of_strings(strings: Strings, bos: str = "") -> str:
    """A template that writes ``strings``; without ``bos`` at the front, where Ollama puts that itself."""
    quoted = {
        "opening": strings.opening.removeprefix(bos),
        "pre": strings.system[0].removeprefix(bos),
        "post": strings.system[1],
        "ask": strings.ask,
        "lead": strings.lead,
        "next": strings.close if strings.next is None else strings.next,
    }
    q = {name: _quote(value) for name, value in quoted.items()}
    return (
        f"{{{{- $before := {q['opening']} -}}}}{{{{- range .Messages -}}}}"
        f'{{{{- if eq .Role "system" -}}}}{{{{ {q["pre"]} }}}}{{{{ .Content }}}}{{{{ {q["post"]} }}}}'
        '{{- $before = "" -}}'
        f'{{{{- else if eq .Role "user" -}}}}{{{{ $before }}}}{{{{ .Content }}}}{{{{ {q["ask"]} }}}}'
        f'{{{{- else if eq .Role "assistant" -}}}}{{{{ {q["lead"]} }}}}{{{{ .Content }}}}'
        f"{{{{- $before = {q['next']} -}}}}"
        "{{- end -}}{{- end -}}"
    )


def _quote(words: str) -> str:
    """A Go string; braces and quotes in a row are escaped, since they would end an action or the Modelfile's text."""
    return json.dumps(words, ensure_ascii=False).replace("{", "\\u007b").replace("}", "\\u007d")


def execute(template: str, messages: Sequence[Mapping[str, str]]) -> str:
    """What Ollama makes of ``messages`` (``role`` and ``content``).

    Raises:
        ValueError: An action that ``template_of_strings`` does not write.
    """
    actions = _ACTION.findall(template)
    if _ACTION.sub("", template).strip():
        raise ValueError("text outside of actions")
    start, end = actions.index("range .Messages"), len(actions) - 1
    before = json.loads(actions[0].removeprefix("$before := "))
    written = []
    for message in messages:
        taken, done = False, False
        for action in actions[start + 1 : end]:
            if action == "end":
                break
            if matched := _ROLE.fullmatch(action):
                taken = not done and json.loads(matched[1]) == message["role"]
                done = done or taken
            elif taken and action == ".Content":
                written.append(message["content"])
            elif taken and action == "$before":
                written.append(before)
            elif taken and action.startswith("$before = "):
                before = json.loads(action.removeprefix("$before = "))
            elif taken and action.startswith('"'):
                written.append(json.loads(action))
            elif taken:
                raise ValueError(action)
    return "".join(written)
