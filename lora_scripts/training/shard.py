"""A base that is larger than one card, in parts on all of them (FSDP2)."""

from __future__ import annotations

from collections.abc import Sequence

from torch.nn import Parameter
from transformers import PreTrainedModel


def shard_base(model: PreTrainedModel, adapter: Sequence[Parameter], device: str, ranks: int) -> None:
    """Leave on ``device`` this rank's part of every frozen weight; each layer is gathered when it is used.

    ``model`` lies on the CPU before, whole on every rank: only one layer at a time is whole on a card, and at the end
    embeddings and head. The ``adapter`` stays whole on every rank, as without sharding, since it is small: so its
    gradients, optimiser and files are the same as ever. After Zhao et al. 2023 (arXiv:2304.11277).
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    for parameter in adapter:
        parameter.data = parameter.data.to(device)
    mesh = init_device_mesh(device.partition(":")[0], (ranks,))
    kinds = set(model._no_split_modules or ())
    ignored = set(adapter)
    for layer in [module for module in model.modules() if type(module).__name__ in kinds]:
        fully_shard(layer, mesh=mesh, ignored_params=ignored)
    fully_shard(model, mesh=mesh, ignored_params=ignored)
