"""Function workflows: plain asyncio, replayed from its history on a deterministic loop."""
