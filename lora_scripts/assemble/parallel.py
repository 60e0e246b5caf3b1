"""What a run on several ranks needs besides: the same inputs everywhere, and a base spread over the cards."""

from __future__ import annotations

import json
from dataclasses import replace

from lora_scripts.adapters.files import adapter_tensors, restore_adapter
from lora_scripts.adapters.inject import trainable
from lora_scripts.assemble.kinds import AnyInputs
from lora_scripts.assemble.start import Start
from lora_scripts.assemble.text.parts import Inputs, Parts, build
from lora_scripts.config import Config
from lora_scripts.errors import UsageError
from lora_scripts.messages import text
from lora_scripts.training.parallel import Ranks
from lora_scripts.training.shard import shard_base
from lora_scripts.training.tasks import TextTask


def refuse_differences(ranks: Ranks, inputs: AnyInputs) -> None:
    """All ranks must work with the same data, base and settings, on whatever machine they are.

    Raises:
        UsageError: One does not, and names what differs.
    """
    seen = [json.loads(words) for words in ranks.all_say(json.dumps(inputs.fingerprints))]
    for rank, other in enumerate(seen):
        if names := [name.partition(".")[2] or name for name in other if other[name] != seen[0].get(name)]:
            raise UsageError("parallel.differs", where="torchrun", rank=rank, names=", ".join(names))


def rank_notes(config: Config, ranks: Ranks) -> list[str]:
    """What to tell about the ranks of a run."""
    if ranks.size == 1:
        return [text("parallel.alone")] if config.shard else []
    told = [text("parallel.ranks", size=ranks.size)]
    return [*told, text("parallel.no_answers"), text("parallel.finishes_on_cpu")] if ranks.sharded else told


def spread(parts: Parts, inputs: Inputs, ranks: Ranks) -> None:
    """Shard the base of ``parts``. What reads single weights by their own road is left out."""
    shard_base(parts.base, trainable(parts.model), inputs.device, ranks.size)
    task = parts.task
    assert isinstance(task, TextTask)  # config.rules refuses shard for preference data
    if task.last_layer:
        task.last_layer.remove()
    task.head = task.last_layer = None
    parts.plan = replace(parts.plan, device=inputs.device)


def whole_again(config: Config, start: Start[Inputs], parts: Parts) -> tuple[Start[Inputs], Parts]:
    """After a sharded run: the whole base with the trained adapter, on the CPU of the first rank."""
    tensors, plan = adapter_tensors(parts.model), parts.plan
    start = replace(start, inputs=replace(start.inputs, device="cpu"))
    parts = build(config, start.inputs)
    restore_adapter(parts.model, tensors)
    parts.plan = plan
    return start, parts
