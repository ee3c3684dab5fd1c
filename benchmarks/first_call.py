"""What a process pays for adaptfilt: run as a process of its own by `checks`, prints JSON."""

import json
import os
import sys
from time import perf_counter

import numpy as np
import torch  # noqa: F401  (its import is not ours to pay)


def threads() -> int:
    return len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 1


def main() -> None:
    before, start = threads(), perf_counter()
    import adaptfilt as af

    found = {
        "import": perf_counter() - start,
        "late": sorted({"numba", "triton", "matplotlib"} & set(sys.modules)),
        "threads": threads() - before,
    }
    x = np.random.default_rng(0).standard_normal(4096).astype(np.float32)
    for make in (af.NLMS, af.RLS):
        start = perf_counter()
        make(32)(x, x)
        found[make.__name__] = perf_counter() - start
    print(json.dumps(found))


main()
