"""The last layer, run only where its output is read.

Behind the last attention a token's hidden state is touched by nothing but itself, and the loss reads learned tokens
only: for the others the output projection and the MLP of that layer would compute, forth and back, what nobody reads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


class LastLayer:
    """``read`` names the rows [N] of the flat row whose hidden states are wanted; None means all of them.

    Hidden states of other rows are then without meaning.
    """

    def __init__(self, modules: list[nn.Module]) -> None:
        self.read: Tensor | None = None
        self._length = 0
        self._hooks: list[Any] = []
        for module in modules:
            self._hooks += [module.register_forward_pre_hook(self._take), module.register_forward_hook(self._put)]

    def _take(self, _module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self.read is None:
            return None
        self._length = arguments[0].shape[1]
        return arguments[0][:, self.read], *arguments[1:]

    def _put(self, _module: nn.Module, _arguments: Any, output: Tensor) -> Tensor | None:
        if self.read is None:
            return None
        whole = output.new_zeros(output.shape[0], self._length, output.shape[2])
        return whole.index_copy(1, self.read, output)

    def remove(self) -> None:
        """Take the hooks out again."""
        for hook in self._hooks:
            hook.remove()


@torch.no_grad()
def last_layer(model: PreTrainedModel) -> LastLayer | None:
    """The last layer of ``model``, or None where it is not built of a ``self_attn.o_proj`` and an ``mlp``.

    Nine tokens go through the model both ways; where the read rows differ, the hooks are taken out again.
    """
    decoder: Any = model.base_model
    try:
        layer = decoder.layers[-1]
        modules = [layer.self_attn.o_proj, layer.mlp]
    except AttributeError:
        return None
    ids = torch.arange(9, device=model.device)[None] % model.get_input_embeddings().weight.shape[0]
    read = torch.tensor([1, 4, 8], device=model.device)
    was_training = model.training
    model.eval()
    trimmed = LastLayer(modules)
    try:
        whole = decoder(input_ids=ids, use_cache=False).last_hidden_state[:, read].float()
        trimmed.read = read
        ours = decoder(input_ids=ids, use_cache=False).last_hidden_state[:, read].float()
    finally:
        trimmed.read = None
        model.train(was_training)
    tolerance = 1e-5 if model.dtype == torch.float32 else 1e-2
    if torch.allclose(ours, whole, rtol=tolerance, atol=tolerance * float(whole.abs().max())):
        return trimmed
    trimmed.remove()
    return None
