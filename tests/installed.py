"""What `make dist` runs with the installed wheel alone, away from the repository: no pytest, no source beside it."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

import adaptfilt as af


def main() -> None:
    """Import from site-packages, identify a plant, pass a filter's contract, and run the command line."""
    assert "site-packages" in Path(af.__file__).parts, af.__file__
    assert (Path(af.__file__).parent / "py.typed").is_file()
    assert all(hasattr(af, name) for name in af.__all__)
    x = np.random.default_rng(0).standard_normal(2000)
    w = af.NLMS(taps=3, mu=0.5)(x, np.convolve(x, [0.5, -0.3, 0.1])[:2000]).w
    assert np.allclose(w, [0.5, -0.3, 0.1], atol=1e-6), w
    af.testing.check(af.LMS)
    subprocess.run([sys.executable, "-m", "adaptfilt", "demo", "--out", "demo.png"], check=True)
    print("the wheel works alone:", version("adaptfilt-torch"), af.__file__)


if __name__ == "__main__":
    main()
