"""What the filter leaves of an echo, taken out bin by bin: a gain on short spectra, 1 where there is no echo.

Of every frame E of the filter's errors the expected share of the echo, R, is the larger of what the filter itself does
not know yet, sum_p P_p |X_p|^2 / 2, and twice the leakage of its estimate Y, eta |Y|^2; and at least .8 of what it was
a frame ago, for rooms ring. Eta is how far |E|^2 follows |Y|^2 from frame to frame, a few bins taken together; a near
end does not follow. Then, with what was let through before,

    S = .9 |G E|^2 (a frame ago) + .1 max(|E|^2 - R, 0),    G = max(S / (S + R), floor)

Sources: leakage: J.-M. Valin, "On adjusting the learning rate in frequency domain echo cancellation with double-talk",
IEEE Transactions on Audio, Speech and Language Processing 15(3), 2007; gain: Y. Ephraim and D. Malah, "Speech
enhancement using a minimum mean-square error short-time spectral amplitude estimator", IEEE Transactions on Acoustics,
Speech, and Signal Processing 32(6), 1984, whose decision-directed S goes into a Wiener filter here.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Array = np.ndarray
TINY = 1e-20  # against 0 / 0, far below one bit of sound
KEPT = 0.9  # of S, from frame to frame
LEAST, MOST = 0.005, 4.0  # of eta
OVER = 2.0  # eta is a mean: twice as much is taken
AROUND = np.ones(5)  # bins whose eta is one
TAIL = 0.8  # by which the echo of a room falls, a hop


class Suppressor(nn.Module):
    """A gain on the spectra of the errors of an `adaptfilt.FDKF`, by overlap-add; hops of half its block.

    Parameters
    ----------
    block, partitions : int
        Of the filter, whose `hop` is half a block.
    rate : float > 0
        Hops a second.
    floor : 0 < float <= 1
        The least gain.
    """

    def __init__(self, block: int, partitions: int, rate: float, floor: float) -> None:
        super().__init__()
        self.block, self.hop, self.rate, self.floor = block, block // 2, rate, floor
        half = self.hop + 1
        shapes = {
            "far": (2 * block,), "left": (block,), "echo": (block,), "overlap": (self.hop,),
            "powers": (2 * partitions - 1, block + 1), "means": (2, half), "products": (2, half), "held": (half,),
            "passed": (half,),
        }  # fmt: skip
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self.window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(block) / block))

    def forward(self, x: Array, e: Array, y: Array, P: Tensor) -> Array:
        """Take in a hop of the far end, of the errors and of the echo's estimate; return the hop before, suppressed."""
        state: Any = {name: value.numpy() for name, value in self.named_buffers()}
        for name, hop in (("far", x), ("left", e), ("echo", y)):
            state[name][:] = np.append(state[name][self.hop :], hop)
        E, Y = (np.fft.rfft(self.window * state[name]) for name in ("left", "echo"))
        e2, y2 = _abs2(E), _abs2(Y)
        R = np.maximum(self._unknown(state, P), OVER * self._leakage(state, e2, y2) * y2)
        R = state["held"][:] = np.maximum(R, TAIL * state["held"])
        S = KEPT * state["passed"] + (1 - KEPT) * np.maximum(e2 - R, 0) + TINY
        gain = np.maximum(S / (S + R), self.floor)
        state["passed"][:] = gain**2 * e2
        out = self.window * np.fft.irfft(gain * E, self.block)
        ready = state["overlap"] + out[: self.hop]
        state["overlap"][:] = out[self.hop :]
        return ready

    def _unknown(self, state: Any, P: Tensor) -> Array:
        """Return the power of the echo that the filter does not know yet, in a frame's bins.

        The filter's frames are of two blocks, one of them zeros; those here of one, through a window of mean power 1/2.
        """
        powers = state["powers"]
        powers[1:] = powers[:-1].copy()
        powers[0] = _abs2(np.fft.rfft(state["far"]))
        return np.asarray((P.detach().numpy() * powers[::2]).sum(0)[::2] / 4)

    def _leakage(self, state: Any, e2: Array, y2: Array) -> Array:
        """Return the share of the echo's estimate that is expected among the errors."""
        powers = np.stack([e2, y2])
        change = powers - state["means"]
        state["means"][:] += min(1.0, 16 / self.rate) * change
        total_e, total_y = e2.sum() + TINY, y2.sum()
        weight = min(2 / self.rate * total_y, 0.5 / self.rate * total_e) / total_e
        state["products"][:] += weight * (change[1] * change - state["products"])
        both, own = (np.convolve(v, AROUND, "same") for v in state["products"])
        return np.clip(both / (own + TINY), LEAST, MOST)

    def reset(self) -> "Suppressor":
        """Return to silence."""
        for value in self.buffers():
            value.zero_()
        return self


def _abs2(V: Array) -> Array:
    return np.asarray(V.real**2 + V.imag**2)
