"""Run one function of a test file in a process of its own: a crash or a deadlock there fails the test here."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def apart(file: str, function: str, *arguments: Any, timeout: float = 300.0) -> str:
    """Return what the function prints."""
    first = f"import sys; sys.path.insert(0, {str(HERE)!r})"  # there is a conftest above, too
    code = f"{first}; from {Path(file).stem} import {function}; {function}(*{arguments!r})"
    paths = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-X", "faulthandler", "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout[-1000:]}\n{done.stderr[-4000:]}"
    return done.stdout
