"""The losses against torch's own, on logits that the model's head makes."""

import pytest
import torch
import torch.nn.functional as F

import lora_scripts.training.losses as losses
from lora_scripts.models.head import Head


def _logits(hidden: torch.Tensor, head: Head) -> torch.Tensor:
    plain = F.linear(hidden, head.weight, head.bias).float()
    return head.cap * torch.tanh(plain / head.cap) if head.cap else plain


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("cap", [None, 4.0])
@pytest.mark.parametrize("biased", [False, True])
def test_loss_and_gradient_equal_those_of_torch(
    dtype: torch.dtype, cap: float | None, biased: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "ROWS", 3)  # 7 tokens: two whole parts and a rest
    torch.manual_seed(0)
    hidden, bias = torch.randn(7, 16).to(dtype), torch.randn(50).to(dtype) if biased else None
    head = Head((torch.randn(50, 16) * 3).to(dtype), bias, cap)
    targets, weights = torch.randint(0, 50, (7,)), torch.randn(7)
    results = []
    for loss_of in (
        lambda h: losses.head_cross_entropy(h, head, targets),
        lambda h: F.cross_entropy(_logits(h, head), targets, reduction="none"),
    ):
        leaf = hidden.clone().requires_grad_()
        found = loss_of(leaf)
        (found * weights).sum().backward()
        results.append((found.detach(), leaf.grad.float()))
    (ours, our_gradient), (theirs, their_gradient) = results
    assert torch.allclose(ours, theirs, rtol=1e-6, atol=1e-5)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    assert (our_gradient - their_gradient).abs().max() <= tolerance * their_gradient.abs().max()


def test_one_huge_logit_neither_overflows_nor_is_lost() -> None:
    head = Head(torch.tensor([[1e4], [-1e4], [0.0]]), None, None)
    hidden = torch.ones(1, 1, requires_grad=True)
    loss = losses.head_cross_entropy(hidden, head, torch.tensor([1]))
    loss.backward()
    assert loss.item() == pytest.approx(2e4)
    assert hidden.grad.item() == pytest.approx(2e4)


def test_without_a_gradient_the_loss_is_the_same() -> None:
    torch.manual_seed(0)
    head, hidden, targets = Head(torch.randn(9, 4), None, None), torch.randn(5, 4), torch.randint(0, 9, (5,))
    with torch.no_grad():
        ours = losses.head_cross_entropy(hidden, head, targets)
    assert ours.sum().item() == pytest.approx(F.cross_entropy(_logits(hidden, head), targets, reduction="sum").item())
