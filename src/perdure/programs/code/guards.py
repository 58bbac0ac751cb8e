"""Guards: what workflow code must not do is refused while a workflow step runs, and only then. No import sandbox.

Files, sockets, processes, threads and `time.sleep` raise `ForbiddenInWorkflow` through an audit hook. Clocks and random
numbers read through their modules are answered from the run, the same in every replay; secrets are refused. What can be
intercepted by neither is found when the workflow is registered, see `scan`.
"""

import sys
from types import FrameType
from typing import Any

from perdure.core.errors import ForbiddenInWorkflow
from perdure.programs.code import answers
from perdure.programs.code.loop import RunStopped, WorkflowLoop, running_loop
from perdure.programs.code.places import frames_above_bottom, place_of_caller

_ACTIVITY = "do it in an activity"
_REMEDIES = {
    "builtins.input": "wait for a signal: await workflow.channel(...).receive()",
}
_FORBIDDEN = frozenset(
    (
        *("open", "builtins.input", "webbrowser.open", "sqlite3.connect", "mmap.__new__", "signal.pthread_kill"),
        *("socket.__new__", "socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyaddr"),
        *("socket.gethostbyname", "socket.gethostname", "socket.getnameinfo", "socket.getservbyname"),
        *("socket.getservbyport", "socket.sendmsg", "socket.sendto", "socket.sethostname"),
        *(
            "urllib.Request",
            "http.client.connect",
            "ftplib.connect",
            "smtplib.connect",
            "imaplib.open",
            "poplib.connect",
        ),
        *("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"),
        *("os.startfile", "os.kill", "os.killpg", "pty.spawn", "_thread.start_joinable_thread"),
        *(
            "os.chdir",
            "os.chflags",
            "os.chmod",
            "os.chown",
            "os.fwalk",
            "os.link",
            "os.listdir",
            "os.lockf",
            "os.mkdir",
        ),
        *("os.putenv", "os.remove", "os.removexattr", "os.rename", "os.rmdir", "os.scandir", "os.setxattr"),
        *("os.symlink", "os.truncate", "os.unsetenv", "os.utime", "os.walk", "glob.glob"),
        *("shutil.chown", "shutil.copyfile", "shutil.copymode", "shutil.copystat", "shutil.copytree"),
        *("shutil.make_archive", "shutil.move", "shutil.rmtree", "shutil.unpack_archive"),
        *("tempfile.mkdtemp", "tempfile.mkstemp", "fcntl.fcntl", "fcntl.flock", "fcntl.lockf"),
    )
)
_TRUSTED = frozenset(
    (
        *("importlib._bootstrap", "importlib._bootstrap_external", "_frozen_importlib", "_frozen_importlib_external"),
        *("zipimport", "linecache", "tokenize", "traceback", "warnings", "logging", "weakref", "bdb", "pdb", "code"),
    )
)
_TRUSTED_PACKAGES = ("logging.", "pydevd", "_pydevd", "debugpy", "coverage.", "_pytest.")

_installed = False


def install() -> None:
    """Set the audit hook and the answers, once for the process."""
    global _installed
    if not _installed:
        _installed = True
        answers.install()
        sys.addaudithook(_audit)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event in _FORBIDDEN:
        loop = running_loop()
        if type(loop) is WorkflowLoop and not trusted(sys._getframe(1)):  # pyright: ignore[reportPrivateUsage]
            _refuse(event, args, loop)


def trusted(frame: FrameType | None) -> bool:
    """Whether the import system, logging, a debugger or a finalizer is at work on top of the workflow's code."""
    for each in frames_above_bottom(frame):
        module = each.f_globals.get("__name__", "")
        if module in _TRUSTED or module.startswith(_TRUSTED_PACKAGES):
            return True
    return False


def _refuse(event: str, args: tuple[Any, ...], loop: WorkflowLoop) -> None:
    # While a run is let go of, nobody is there to read an error; what counts is that nothing happens.
    if loop.closing:
        raise RunStopped
    what = f"open({args[0]!r})" if event == "open" else event.replace("builtins.", "").removesuffix(".__new__")
    where = place_of_caller()
    raise ForbiddenInWorkflow(
        what=what, where="" if where is None else f" at {where}", remedy=_REMEDIES.get(event, _ACTIVITY)
    )
