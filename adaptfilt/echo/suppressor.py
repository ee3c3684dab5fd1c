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


def weight_of(total_e: float, total_y: float, rate: float) -> float:
    """Return how much a frame counts: more where the echo's estimate is loud beside the errors."""
    return min(2 / rate * total_y, 0.5 / rate * total_e) / total_e


def followed(e2: Any, y2: Any, mean_e: Any, mean_y: Any, both: Any, own: Any, share: float, weight: float) -> Any:
    """Return the means of |E|^2 and |Y|^2 after a frame, and those of their changes' product and of that of |Y|^2."""
    de, dy = e2 - mean_e, y2 - mean_y
    return mean_e + share * de, mean_y + share * dy, both + weight * (dy * de - both), own + weight * (dy * dy - own)


def leakage(both: Any, own: Any) -> Any:
    """Return the share of |Y|^2 that is expected in |E|^2, of sums over some bins."""
    return OVER * np.minimum(np.maximum(both / (own + TINY), LEAST), MOST)


def gain_of(e2: Any, R: Any, passed: Any, floor: float) -> Any:
    """Return the gain of a bin, by what was let through before."""
    S = KEPT * passed + (1 - KEPT) * np.maximum(e2 - R, 0.0) + TINY
    return np.maximum(S / (S + R), floor)


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
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64, device="cpu"))
        self.window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(block) / block))

    def forward(self, x: Array, e: Array, y: Array, P: Array) -> Array:
        """Take in hops of the far end, the errors and the echo's estimate; return those a hop before, suppressed."""
        state: Any = {name: value.numpy() for name, value in self.named_buffers()}
        X = np.fft.rfft(self._frames(state["far"], x))[:, ::2]
        E, Y = (np.fft.rfft(self.window * self._frames(state[k], v)) for k, v in (("left", e), ("echo", y)))
        e2, y2 = _abs2(E), _abs2(Y)
        R = np.maximum(self._unknown(state["powers"], _abs2(X), P), self._leakage(state, e2, y2) * y2)
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
        means, products, rows = state["means"], state["products"], []
        for e_2, y_2, (total_e, total_y) in zip(e2, y2, totals, strict=True):
            share, weight = min(1.0, 16 / self.rate), weight_of(total_e, total_y, self.rate)
            found = followed(e_2, y_2, means[0], means[1], products[0], products[1], share, weight)
            means[:], products[:] = found[:2], found[2:]
            rows.append(products.copy())
        wide = np.pad(np.stack(rows), ((0, 0), (0, 0), (AROUND // 2, AROUND // 2)))
        both, own = sliding_window_view(wide, AROUND, -1).sum(-1).swapaxes(0, 1)
        return np.asarray(leakage(both, own))

    def _gains(self, state: Any, expected: Array, e2: Array) -> Array:
        """Return the gain of every bin, frame by frame."""
        held, passed, gains = state["held"], state["passed"], np.empty_like(e2)
        for R, power, gain in zip(expected, e2, gains, strict=True):
            held[:] = np.maximum(R, TAIL * held)
            gain[:] = gain_of(power, held, passed, self.floor)
            passed[:] = gain * gain * power
        return gains

    def reset(self) -> "Suppressor":
        """Return to silence."""
        for value in self.buffers():
            value.zero_()
        return self


def _abs2(V: Array) -> Array:
    return np.asarray(V.real**2 + V.imag**2)
