"""What filters in a loop share: hearing outputs through a response, and going back where a block fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from adaptfilt.checks import as_tensor, check_block, check_finite


@contextmanager
def whole_or_not(f: nn.Module) -> Iterator[None]:
    """Let state change whole or stay as it was, whatever is raised."""
    before = {k: v.clone() for k, v in f.state_dict().items()}
    try:
        yield
    except BaseException:
        f.load_state_dict(before)
        raise


def heard(stream: Tensor, response: Tensor) -> Tensor:
    """Return a response's output for every sample of a stream, (*batch, P - 1 + T), that has P - 1 before it."""
    P = len(response)
    if stream.shape[-1] < P:
        return stream[..., :0]
    return (stream.unfold(-1, P, 1) * response.flip(-1)).sum(-1)


def as_path(path: Any, longest: int, like: Tensor) -> Tensor:
    """Check a response, and return it with zeros up to the longest."""
    check_block("path", path, like, (None,))
    if not 1 <= len(path) <= longest:
        raise ValueError(f"path must have 1 to {longest} taps (path_taps=), got {len(path)}")
    own = as_tensor(path, like.dtype, like.device)
    check_finite("path", own)
    return nn.functional.pad(own, (0, longest - len(own)))


def samples_ahead(response: Tensor) -> int | None:
    """Return how many zeros a response begins with: as many outputs are not yet heard. None: it is all zeros."""
    found = response.nonzero()
    return int(found[0, 0]) if len(found) else None


def push(past: Tensor, new: Tensor) -> None:
    """Move the newest samples of a stream into the place of its past."""
    past.copy_(torch.cat([past, new], -1)[..., new.shape[-1] :])
