"""The ways to write a workflow, each an implementation of `core.program`."""
