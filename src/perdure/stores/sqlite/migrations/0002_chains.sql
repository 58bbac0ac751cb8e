-- Runs that go on for one another, what a worker must serve to take a run, and what a run tells of itself.
alter table runs add column route text not null default '';
alter table runs add column first_run_id text;
alter table runs add column successor text;
alter table runs add column note blob;
update runs set route = workflow_type, first_run_id = run_id;

drop index runs_free;
create index runs_free on runs (queue, route, due_at_ms)
  where lease_id is null and parked is null and due_at_ms is not null;

-- Messages that a successor gets.
alter table inbox add column follows integer not null default 0;
