"""A live bar in the terminal, drawn by `rich`: the only module that imports it."""

from collections.abc import Callable
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Drawing

from perdure.progress import Progress


class Bar:
    """Drawn while entered."""

    def __init__(self, title: str) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._drawing = Drawing(*columns, TextColumn("{task.fields[words]}", markup=False))
        self._title = title

    def __enter__(self) -> Callable[[Progress], None]:
        self._drawing.start()
        task = self._drawing.add_task(self._title, total=None, words="")

        def show(progress: Progress) -> None:
            words = " ".join(each for each in (progress.text, progress.status) if each)
            self._drawing.update(task, completed=progress.done, total=progress.total, words=words)

        return show

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drawing.stop()
