"""Whether operators that torch has for its own compiler, and promises to nobody, are there and do what they should.

Who uses one asks first, and does as torch does where the answer is no. Weights that an operator wants in an order of
its own are kept in it as well. Knows tensors; no operator by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

DTYPES = (torch.bfloat16, torch.float32)
"""Number formats in which oneDNN's operators are there."""


def takes(x: Tensor) -> bool:
    """Whether they can be given this: on a CPU, in one of these formats, and nobody wants gradients or autocast."""
    wanted = torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
    return not wanted and x.device.type == "cpu" and x.dtype in DTYPES


def agrees(tried: Callable[[], tuple[Tensor, Tensor]]) -> bool:
    """Whether this build of torch has oneDNN, and both ways of `tried`, run without gradients, come to the same.

    Or nearly, in bfloat16: one of them may round where the other does not.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    try:
        with torch.inference_mode():
            one, other = tried()
            within = 1e-3 if one.dtype == torch.float32 else 2e-2
            return torch.allclose(one, other, rtol=within, atol=within)
    except (AttributeError, RuntimeError):  # no such operator, or another signature
        return False


class LaidOut(nn.Module):
    """A layer whose weights also lie ready in an order that an operator wants."""

    weight: Tensor
    _laid_out: tuple[tuple[object, ...], Tensor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the weights laid out, which cannot be copied."""
        return self.__dict__ | {"_laid_out": None}

    def laid_out(self, order: Callable[[Tensor], Tensor]) -> Tensor:
        """The weights brought into that order, which is always the same; anew when they have changed."""
        w = self.weight
        of = (w.data_ptr(), w.dtype, None if w.is_inference() else w._version)
        if self._laid_out is None or self._laid_out[0] != of:
            self._laid_out = of, order(w.detach())
        return self._laid_out[1]
