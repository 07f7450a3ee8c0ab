from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from export.depthwise import single_depthwise  # noqa: E402


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 1),
        nn.Conv2d(16, 16, 3, padding=1, groups=16),
        nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16),
        nn.Conv2d(16, 16, 5, padding=2, groups=16),
        nn.Conv2d(16, 8, 3, stride=2, padding=1, groups=8),
    )


def _run(net: nn.Module, images: torch.Tensor, *, bf16: bool) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = net(images)
    net.zero_grad()
    out.float().square().mean().backward()
    return out


def test_only_strided_and_large_depthwise_convolutions_are_taken() -> None:
    net = _net()
    assert single_depthwise(net) == 2
    assert [type(m) is nn.Conv2d for m in net] == [True, True, False, False, True]
    assert single_depthwise(net) == 0


def test_a_taken_convolution_computes_in_fp32_and_hands_on_what_autocast_expects() -> None:
    images = torch.randn(2, 3, 12, 12)
    conv = nn.Sequential(nn.Conv2d(3, 3, 3, stride=2, padding=1, groups=3))
    exact, rough = _run(conv, images, bf16=False), _run(conv, images, bf16=True)
    single_depthwise(conv)
    taken = _run(conv, images, bf16=True)
    assert taken.dtype == torch.bfloat16
    # one rounding, at the end, where bf16 throughout rounds pictures and weights, too
    assert torch.equal(taken, exact.to(torch.bfloat16))
    assert not torch.equal(rough, taken)


def test_without_autocast_and_in_a_copy_it_is_the_convolution_it_was() -> None:
    images = torch.randn(2, 3, 12, 12)
    net = _net()
    names, exact = list(net.state_dict()), _run(net, images, bf16=False)
    single_depthwise(net)
    assert list(net.state_dict()) == names
    assert torch.equal(_run(net, images, bf16=False), exact)
    other = copy.deepcopy(net)
    nn.init.zeros_(net[2].weight)
    assert torch.equal(_run(other, images, bf16=False), exact)
    assert not torch.equal(_run(net, images, bf16=False), exact)


def test_gradients_are_those_of_fp32_within_bf16() -> None:
    images = torch.randn(4, 3, 24, 24)
    net = _net()
    _run(net, images, bf16=False)
    exact = [p.grad.clone() for p in net.parameters()]
    single_depthwise(net)
    _run(net, images, bf16=True)
    for parameter, wanted in zip(net.parameters(), exact, strict=True):
        off = (parameter.grad - wanted).norm() / wanted.norm()
        assert off < 0.05, (tuple(parameter.shape), float(off))
