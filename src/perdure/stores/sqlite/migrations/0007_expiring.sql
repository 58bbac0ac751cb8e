-- Attempts that may wait only until a certain moment: see `core.store.Store.claim`.
create index attempts_expiring on attempts (expires_at_ms) where lease_id is null and expires_at_ms is not null;
