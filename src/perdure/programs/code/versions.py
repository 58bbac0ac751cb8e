"""Changes of code under open runs: which version of a change a run follows is decided once, and recorded.

A run that reaches a change for the first time by replaying what is recorded took the way before the change. In a step
of its own it takes the newest way, and records that.
"""

from perdure.core.command import RecordVersion
from perdure.core.errors import InvalidOption, VersionUnsupported
from perdure.core.ids import checked_id
from perdure.programs.code.api import current_run
from perdure.programs.code.places import place_of_caller
from perdure.programs.code.run import CodeRun

DEFAULT_VERSION = -1
"""The code as it was before the change."""
VERSION_MAX = 1_000_000

_PATCHED = 1


def patched(patch_id: str) -> bool:
    """Whether this run takes the new way of a change: `if workflow.patched("tax"): ... else: ...`.

    Decided once for the run and the id: a run that had passed the place before the change goes on without it.
    """
    run = current_run("patched")
    return _version(run, checked_id("patch id", patch_id), _PATCHED) != DEFAULT_VERSION


def deprecate_patch(patch_id: str) -> None:
    """Stands for `patched` once no open run takes the old way, until no history holds the record of `patched`.

    After that it can be removed from the code.
    """
    run = current_run("deprecate_patch")
    _version(run, checked_id("patch id", patch_id), _PATCHED, deprecated=True)


def version(change_id: str, lowest: int, highest: int) -> int:
    """The version of a change that this run follows: `highest` from now on, what is recorded for runs from before.

    A run that had passed the place before there was a version has `DEFAULT_VERSION` (-1). Code that no longer supports
    it says so with a higher `lowest`: such a run is parked. Raises `InvalidOption`.
    """
    run = current_run("version")
    checked_id("change id", change_id)
    _check_range(lowest, highest)
    found = _version(run, change_id, highest)
    if not lowest <= found <= highest and run.loop.refusal is None:
        where = place_of_caller()
        run.park(
            VersionUnsupported(
                run_id=run.run_id,
                change_id=change_id,
                version=found,
                lowest=lowest,
                highest=highest,
                where="" if where is None else f" at {where}",
            )
        )
    return found


def _check_range(lowest: object, highest: object) -> None:
    for name, value in (("lowest", lowest), ("highest", highest)):
        if not isinstance(value, int) or isinstance(value, bool) or not DEFAULT_VERSION <= value <= VERSION_MAX:
            remedy = f"give a whole number from {DEFAULT_VERSION} (before the change) to {VERSION_MAX}"
            raise InvalidOption(name=name, value=repr(value), fact="is no version", remedy=remedy)
    if lowest > highest:  # type: ignore[operator] # both are numbers by now
        raise InvalidOption(
            name="lowest", value=repr(lowest), fact=f"is above highest={highest}", remedy="give the lower one first"
        )


def _version(run: CodeRun, change_id: str, newest: int, *, deprecated: bool = False) -> int:
    if run.versions is None:
        run.versions = {}
    known = run.versions.get(change_id)
    if known is not None:
        return known
    # In a query nothing is decided: what the run has not asked yet it does not follow yet.
    if run.loop.refusal is not None:
        return DEFAULT_VERSION
    if run.replaying:
        found = _recorded(run, change_id)
    else:
        found = newest
    run.versions[change_id] = found
    if found != DEFAULT_VERSION or not run.replaying:
        run.commands.append(RecordVersion(change_id, found, deprecated))
    return found


def _recorded(run: CodeRun, change_id: str) -> int:
    for command in () if run.repeated is None else run.repeated.outputs:
        if type(command) is RecordVersion and command.change_id == change_id:
            return command.version
    return DEFAULT_VERSION
