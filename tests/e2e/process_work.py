"""Work for a process pool: its functions must be importable there."""

import os
from contextvars import ContextVar

from perdure import ContextVarPropagator, Perdure


def process_id() -> int:
    """The process that ran it."""
    return os.getpid()


tenant: ContextVar[str] = ContextVar("tenant")
context_app = Perdure("memory://", propagators=[ContextVarPropagator("tenant", tenant, str)])


@context_app.activity(process=True)
def tenant_here() -> str:
    """What the context of a process knows."""
    return tenant.get("nobody")


@context_app.workflow
async def context_of_process() -> str:
    """Asks a process."""
    return await tenant_here()
