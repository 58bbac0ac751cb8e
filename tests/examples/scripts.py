"""Examples as a newcomer runs them: programs of their own, in the working directory; and killed in the middle."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPT_S_MAX = 60


def run(script: str, *arguments: str) -> str:
    """What the script prints; fails if it fails."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SCRIPT_S_MAX)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kill_at(text: str, script: str, *arguments: str) -> None:
    """Run the script until it prints a line with `text`, then end it with SIGKILL."""
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = any(text in line for line in process.stdout)
        process.kill()
    assert found, f"{script} never printed {text!r}"


def lines(name: str) -> list[str]:
    """The lines of a file that an example wrote; none if there is no such file."""
    path = Path(name)
    return path.read_text().splitlines() if path.exists() else []
