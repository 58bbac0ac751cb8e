"""Operations on all runs that fit a filter: a workflow of the engine's own."""
