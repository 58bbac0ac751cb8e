"""How large what comes in may be. Each limit is checked where it comes in; docs/reference/limits.md has them all."""

PAYLOAD_BYTES_MAX = 2 * 1024 * 1024
"""Largest single payload, in bytes. Source: Temporal's blob limit, specs/temporal.md."""
VALUES_MAX = 255
"""Most values that travel side by side: arguments of one call, details of one error or heartbeat."""
TURN_BYTES_MAX = 32 * 1024 * 1024
"""Largest encoded turn, in bytes."""
TOGETHER_BYTES_MAX = TURN_BYTES_MAX // 2
"""Largest payloads that travel side by side, in bytes: they must fit into a turn with room for what it asks for."""
DETAILS_BYTES_MAX = PAYLOAD_BYTES_MAX
"""Largest details of one error or one heartbeat, in bytes: they stay in the store even where there is a claim check."""
CLAIMED_BYTES_MAX = 64 * 1024 * 1024
"""Largest single payload of an app with a claim check, in bytes, unless it says otherwise."""
CLAIMED_TURN_FACTOR = 4
"""A turn of an app with a claim check may have so many payloads of the largest size in memory."""
ID_CHARS_MAX = 1_000
"""Longest workflow id, request id or name, in characters. Source: Temporal's limit, specs/temporal.md."""
TEXT_CHARS_MAX = 20_000
"""Longest message or traceback of a failure that is kept, in characters; the middle of a longer one is left out."""
CAUSES_MAX = 20
"""Longest cause chain of a failure that is kept."""
