"""Whether operators that torch has for its own compiler, and promises to nobody, are there and do what they should.

Who uses one asks first, and does as torch does where the answer is no. Knows tensors; no operator by name.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

DTYPES = (torch.bfloat16, torch.float32)
"""Number formats in which oneDNN's operators are there."""


def takes(x: Tensor) -> bool:
    """Whether they can be given this: on a CPU, in one of these formats, and nobody wants gradients."""
    return not torch.is_grad_enabled() and x.device.type == "cpu" and x.dtype in DTYPES


def agrees(tried: Callable[[], tuple[Tensor, Tensor]]) -> bool:
    """Whether this build of torch has oneDNN, and both ways of `tried`, run without gradients, come to the same."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    try:
        with torch.inference_mode():
            one, other = tried()
            return torch.allclose(one, other, rtol=1e-3, atol=1e-3)
    except (AttributeError, RuntimeError):  # no such operator, or another signature
        return False
