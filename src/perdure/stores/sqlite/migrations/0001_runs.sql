-- What a worker holds, it holds by its lease: other tables name the lease by its id, free rows have none.
create table leases (
  id integer primary key autoincrement,
  worker text not null unique,
  until_ms integer not null,
  -- Of the latest claim that said it may have missed answers: older ones that come late take nothing.
  claim_number integer not null default 0
);

-- Ids are never used again (autoincrement), so a remembered id cannot name another run.
create table runs (
  id integer primary key autoincrement,
  run_id text not null unique,
  workflow_id text not null,
  workflow_type text not null,
  queue text not null,
  request_id text not null,
  parent_run_id text,
  status text not null,
  created_at_ms integer not null,
  closed_at_ms integer,
  parked blob,
  lease_id integer,
  -- Earliest moment at which a message is visible that the holder was not yet handed; of all messages if nobody holds it.
  due_at_ms integer,
  -- The holder was handed what had arrived up to handed_id and was visible at handed_at_ms.
  handed_id integer not null default 0,
  handed_at_ms integer not null default 0,
  -- Of the claim that handed it out last.
  claim_number integer not null default 0
);
create unique index runs_open on runs (workflow_id) where closed_at_ms is null;
create unique index runs_request on runs (workflow_id, request_id);
create index runs_free on runs (queue, workflow_type, due_at_ms)
  where lease_id is null and parked is null and due_at_ms is not null;
create index runs_held on runs (lease_id, due_at_ms) where lease_id is not null;
create index runs_status on runs (status, run_id);

-- In order of arrival, so that a batch fills whole pages; clustering by run would touch a page for each run.
create table turns (
  id integer primary key,
  run_key integer not null,
  number integer not null,
  data blob not null
);
create unique index turns_number on turns (run_key, number);

create table inbox (
  id integer primary key autoincrement,
  run_key integer not null,
  message_id text not null,
  visible_at_ms integer not null,
  data blob not null
);
create unique index inbox_message on inbox (run_key, message_id);

create table attempts (
  run_key integer not null,
  call_id integer not null,
  turn_number integer not null,
  name text not null,
  queue text not null,
  attempt integer not null default 1,
  due_at_ms integer not null,
  expires_at_ms integer,
  -- When a claim may take it: the earlier of the two above.
  ready_at_ms integer not null,
  deaths_count integer not null default 0,
  cancelled integer not null default 0,
  lease_id integer,
  -- Of the claim that its holder took it by; 0 if it was kept from the start.
  claim_number integer not null default 0,
  failure blob,
  heartbeat blob,
  primary key (run_key, call_id)
) without rowid;
create index attempts_fresh on attempts (queue, name, ready_at_ms) where lease_id is null and deaths_count < 2;
create index attempts_suspect on attempts (queue, name, ready_at_ms) where lease_id is null and deaths_count >= 2;
create index attempts_held on attempts (lease_id) where lease_id is not null;
