"""The test kit: a store-conformance suite, a simulator with faults, and the invariants that `perdure fsck` checks."""
