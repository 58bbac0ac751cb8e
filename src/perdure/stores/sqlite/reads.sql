-- name: run_records
-- Records by internal id.
select json_group_array(json_array(runs.id, runs.run_id, runs.workflow_id, runs.workflow_type, runs.queue, runs.status,
    runs.created_at_ms, runs.closed_at_ms,
    coalesce((select max(turns.number) from turns where turns.run_key = runs.id), 0), runs.parent_run_id,
    case when runs.parked is not null then hex(runs.parked) end, leases.worker, runs.route, runs.first_run_id,
    runs.successor, case when runs.note is not null then hex(runs.note) end, runs.origin_run_id,
    exists (select 1 from attributes where attributes.run_key = runs.id)))
  from runs left join leases on leases.id = runs.lease_id
 where runs.id in (values {(?)});

-- name: find_run
-- The run of a workflow id that was created last; only that one can be open.
select max(id) from runs where workflow_id = ?;

-- name: turns
-- Turns of runs between two numbers, in order.
with asked (run_key, first, last) as (values {(?, ?, ?)})
select turns.run_key, turns.number, turns.data
  from asked cross join turns on turns.run_key = asked.run_key and turns.number between asked.first and asked.last
 order by turns.run_key, turns.number;

-- name: turns_bytes
-- How many bytes those have.
with asked (run_key, first, last) as (values {(?, ?, ?)})
select sum(length(turns.data))
  from asked cross join turns on turns.run_key = asked.run_key and turns.number between asked.first and asked.last;

-- name: turns_packed
-- Those as one value.
with asked (run_key, first, last) as (values {(?, ?, ?)})
select json_group_array(json_array(run_key, number, turn)) from (
  select turns.run_key, turns.number, hex(turns.data) as turn
    from asked cross join turns on turns.run_key = asked.run_key and turns.number between asked.first and asked.last
   order by turns.run_key, turns.number);

-- name: read_inbox
-- Messages of one run, oldest first.
select message_id, visible_at_ms, data from inbox where run_key = ? order by visible_at_ms, id;

-- name: read_attempts
-- Attempts of one run.
select json_group_array(json_array(attempts.call_id, attempts.turn_number, attempts.name, attempts.queue,
    attempts.attempt, attempts.due_at_ms, attempts.deaths_count, attempts.cancelled, leases.worker,
    case when attempts.failure is not null then hex(attempts.failure) end,
    case when attempts.heartbeat is not null then hex(attempts.heartbeat) end, attempts.line))
  from attempts left join leases on leases.id = attempts.lease_id where attempts.run_key = ?;

-- name: count_open
-- Open runs by what a worker must serve to take them.
select workflow_type, route, queue, count(*), count(lease_id), count(parked),
    min(case when lease_id is null and parked is null then due_at_ms end)
  from runs where status = 'running' group by workflow_type, route, queue order by workflow_type, route, queue;

-- name: closed_before
-- Closed runs, those that closed first first; without children of which a follower is open.
select json_group_array(run_id) from (
  select run_id from runs where closed_at_ms < ?
    and (successor is null or parent_run_id is null or not exists (select 1 from runs as later
           where later.workflow_id = runs.workflow_id and later.closed_at_ms is null
             and later.first_run_id = runs.first_run_id))
   order by closed_at_ms, id limit ?);
