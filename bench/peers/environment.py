"""Makes the environment of a peer, apart from the project's own: `.dev/peers/NAME`."""

import fcntl
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from bench.peers import Peer

HOME = Path(__file__).parents[2] / ".dev" / "peers"


def python_of(peer: Peer) -> Path:
    """The interpreter of the peer's environment, which is made where there is none or its requirements changed."""
    home = HOME / peer.name
    stamp = home / "stamp"
    wanted = "\n".join([sys.version, *peer.requirements])
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text("utf-8") != wanted:
            print(f"bench: making .dev/peers/{peer.name}", file=sys.stderr, flush=True)
            shutil.rmtree(home, ignore_errors=True)
            venv.create(home, with_pip=True)
            pip = (home / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check")
            subprocess.run([*pip, "install", *peer.requirements], check=True)
            # Written last: an environment whose making was interrupted has no stamp.
            stamp.write_text(wanted, "utf-8")
    return home / "bin" / "python"
