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
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn

Array = np.ndarray
TINY = 1e-20  # against 0 / 0, far below one bit of sound
KEPT = 0.9  # of S, from frame to frame
LEAST, MOST = 0.005, 4.0  # of eta
OVER = 2.0  # eta is a mean: twice as much is taken
AROUND = 5  # bins whose eta is one
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
            "far": (2 * block - self.hop,), "left": (self.hop,), "echo": (self.hop,), "overlap": (self.hop,),
            "powers": (2 * partitions - 2, half), "means": (2, half), "products": (2, half), "held": (half,),
            "passed": (half,),
        }  # fmt: skip
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self.window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(block) / block))

    def forward(self, x: Array, e: Array, y: Array, P: Array) -> Array:
        """Take in hops of the far end, the errors and the echo's estimate; return those a hop before, suppressed."""
        state: Any = {name: value.numpy() for name, value in self.named_buffers()}
        X = np.fft.rfft(self._frames(state["far"], x))[:, ::2]
        E, Y = (np.fft.rfft(self.window * self._frames(state[k], v)) for k, v in (("left", e), ("echo", y)))
        e2, y2 = _abs2(E), _abs2(Y)
        R = np.maximum(self._unknown(state["powers"], _abs2(X), P), OVER * self._leakage(state, e2, y2) * y2)
        out = self.window * np.fft.irfft(self._gains(state, R, e2) * E, self.block)
        ready = np.concatenate([state["overlap"][None], out[:-1, self.hop :]]) + out[:, : self.hop]
        state["overlap"][:] = out[-1, self.hop :]
        return ready.reshape(-1)

    def _frames(self, past: Array, new: Array) -> Array:
        """Return the frames that end with each of the new hops, and renew the past."""
        stream = np.concatenate([past, new])
        past[:] = stream[new.size :]
        return sliding_window_view(stream, past.size + self.hop)[:: self.hop]

    def _unknown(self, past: Array, new: Array, P: Array) -> Array:
        """Return the power of the echo that the filter does not know yet, in the bins of each frame.

        The filter's frames are of two blocks, one of them zeros; those here of one, through a window of mean power 1/2.
        """
        powers = np.concatenate([past, new])
        past[:] = powers[len(new) :]
        windows = sliding_window_view(powers, len(past) + 1, 0)[..., ::2]  # a block, two hops, apart; oldest first
        return np.asarray(np.einsum("kfp,fp->kf", windows, P.T[::2, ::-1] / 4))

    def _leakage(self, state: Any, e2: Array, y2: Array) -> Array:
        """Return the share of the echo's estimate that is expected among the errors, frame by frame."""
        totals = np.stack([e2.sum(-1) + TINY, y2.sum(-1)], -1).tolist()
        means, products, followed = state["means"], state["products"], []
        for powers, (total_e, total_y) in zip(np.stack([e2, y2], 1), totals, strict=True):
            change = powers - means
            means += min(1.0, 16 / self.rate) * change
            weight = min(2 / self.rate * total_y, 0.5 / self.rate * total_e) / total_e
            products += weight * (change[1] * change - products)
            followed.append(products.copy())
        rows = np.pad(np.stack(followed), ((0, 0), (0, 0), (AROUND // 2, AROUND // 2)))
        both, own = sliding_window_view(rows, AROUND, -1).sum(-1).swapaxes(0, 1)
        return np.clip(both / (own + TINY), LEAST, MOST)

    def _gains(self, state: Any, expected: Array, e2: Array) -> Array:
        """Return the gain of every bin, frame by frame."""
        held, passed, gains = state["held"], state["passed"], np.empty_like(e2)
        for R, power, gain in zip(expected, e2, gains, strict=True):
            np.maximum(R, TAIL * held, out=held)
            S = KEPT * passed + (1 - KEPT) * np.maximum(power - held, 0) + TINY
            np.maximum(S / (S + held), self.floor, out=gain)
            passed[:] = gain * gain * power
        return gains

    def reset(self) -> "Suppressor":
        """Return to silence."""
        for value in self.buffers():
            value.zero_()
        return self


def _abs2(V: Array) -> Array:
    return np.asarray(V.real**2 + V.imag**2)
