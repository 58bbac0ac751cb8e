"""Progress and status, said by the code of a workflow. Public as `perdure.workflow`."""

from math import isfinite

from perdure.core.command import SetProgress, SetStatus
from perdure.core.errors import InvalidOption
from perdure.programs.code.api import current_run
from perdure.programs.code.run import CodeRun

TEXT_CHARS_MAX = 1_000
"""Longest text to a progress and longest status, in characters."""


def set_progress(done: float, total: float | None = None, text: str = "") -> None:
    """Say how far this run is: `done` of `total`, in a unit of your own, and a word to it.

    Readers see it when this step is durable; of one step they see the last one. Raises `InvalidOption`.
    """
    run = _writing("set_progress")
    said = SetProgress(_amount("done", done), None if total is None else _amount("total", total), _text("text", text))
    if run.commands and type(run.commands[-1]) is SetProgress:
        run.commands[-1] = said
    else:
        run.commands.append(said)


def set_status(text: str) -> None:
    """Say in a few words what this run does now; "" takes it back. Raises `InvalidOption`."""
    _writing("set_status").commands.append(SetStatus(_text("text", text)))


def _writing(name: str) -> CodeRun:
    run = current_run(name)
    if run.loop.refusal is not None:
        raise run.loop.refusal()
    return run


def _amount(name: str, value: object) -> float:
    amount = value if isinstance(value, int | float) and not isinstance(value, bool) else -1
    if isfinite(amount) and (amount > 0 or (amount == 0 and name == "done")):
        return float(amount)
    remedy = "give a finite number, 0 or more; the total is more than 0"
    raise InvalidOption(name=name, value=repr(value)[:80], fact="is no amount", remedy=remedy)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > TEXT_CHARS_MAX:
        remedy = f"give text of at most {TEXT_CHARS_MAX} characters"
        raise InvalidOption(name=name, value=repr(value)[:80], fact="is no short text", remedy=remedy)
    return value.encode("utf-8", "backslashreplace").decode()
