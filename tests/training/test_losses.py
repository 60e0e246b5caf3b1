"""The summed loss against torch's own."""

import pytest
import torch
import torch.nn.functional as F

from lora_scripts.training.losses import summed_cross_entropy


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loss_and_gradient_equal_those_of_torch(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(7, 16)
    head = torch.randn(50, 16, dtype=dtype) * 3
    targets = torch.randint(0, 50, (7,))
    results = []
    for loss_of in (summed_cross_entropy, lambda a, b: F.cross_entropy(a.float(), b, reduction="sum")):
        leaf = hidden.clone().to(dtype).requires_grad_()
        loss = loss_of(leaf @ head.T, targets)
        (loss * 0.25).backward()
        results.append((loss.item(), leaf.grad.float()))
    (ours, our_gradient), (theirs, their_gradient) = results
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert torch.allclose(our_gradient, their_gradient, rtol=1e-5, atol=1e-5)


def test_logits_that_something_else_still_needs_are_not_spoilt_silently() -> None:
    leaf = torch.randn(3, 5, requires_grad=True)
    logits = torch.tanh(leaf)  # its backward reads its own output
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        summed_cross_entropy(logits, torch.tensor([0, 1, 2])).backward()


def test_without_a_gradient_the_logits_stay_as_they_are() -> None:
    logits = torch.randn(3, 5)
    before = logits.clone()
    summed_cross_entropy(logits, torch.tensor([0, 1, 2]))
    assert torch.equal(logits, before)
