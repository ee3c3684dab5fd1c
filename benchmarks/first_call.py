"""What a process pays for adaptfilt: run as a process of its own by `checks`, prints JSON.

``ADAPTFILT_CACHE=off OMP_NUM_THREADS=1 python -m benchmarks.first_call`` measures the first call on an empty cache;
"cpu" is processor time, which says more where the machine does other things.
"""

import json
import os
import sys
from time import perf_counter, process_time

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
    for name, make in (("LMS", lambda: af.LMS(32, 0.01)), ("NLMS", lambda: af.NLMS(32)), ("RLS", lambda: af.RLS(32))):
        start, cpu = perf_counter(), process_time()
        make()(x, x)
        found[name], found[f"{name} cpu"] = perf_counter() - start, process_time() - cpu
    print(json.dumps(found))


main()
