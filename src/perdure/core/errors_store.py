"""The branch of `core.errors` for the store."""

from perdure.core.error import PerdureError


class StoreError(PerdureError):
    """The store refused or broke; nothing that was acknowledged is lost."""


class StoreUnavailable(StoreError):
    """The store did not answer, or its answer is unknown."""

    code = "PDR4001"
    template = "the store {store} is unavailable: {reason}; the call may be repeated"


class StoreFull(StoreError):
    """No space left."""

    code = "PDR4002"
    template = "the store {store} is full: {reason}; free some space, work goes on by itself"


class StoreReadOnly(StoreError):
    """The file or its directory cannot be written."""

    code = "PDR4003"
    template = "the store {store} cannot be written: {reason}; grant write access to the file and its directory"


class FilterTooSlow(StoreError):
    """A list or a count took too long and was given up, so that others are not kept waiting."""

    code = "PDR4040"
    template = "the store {store} did not answer a filter within {limit_s:g} seconds; name a workflow id, a status or a search attribute in it, so that an index is used"


class StoreCorrupt(StoreError):
    """The database file is damaged."""

    code = "PDR4004"
    template = "the store {store} is damaged: {reason}; restore a backup"


class ForeignStore(StoreError):
    """The file is no Perdure store."""

    code = "PDR4005"
    template = "{store} is not a Perdure store: {reason}; give another path"


class SchemaTooNew(StoreError):
    """The store was written by a newer Perdure."""

    code = "PDR4006"
    template = "the store {store} has schema {found}, this Perdure knows up to {known}; upgrade perdure"
