"""The engine: live runs, the one write path, and the verbs that clients use."""
