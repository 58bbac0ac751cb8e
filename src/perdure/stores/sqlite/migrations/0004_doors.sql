-- A message that unparks: a park that does not know of it is dropped.
alter table inbox add column unparks integer not null default 0;

-- The run whose turns another one began with; null where a run began by itself.
alter table runs add column origin_run_id text;

-- What retention looks for.
create index runs_closed on runs (closed_at_ms) where closed_at_ms is not null;

-- When the call of a run that began with turns of another one counts as asked for; null: at the turn's moment.
alter table attempts add column scheduled_at_ms integer;
