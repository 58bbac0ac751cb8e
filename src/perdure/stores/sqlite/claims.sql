-- name: find_lease
-- The lease of a worker.
select id from leases where worker = ?;

-- name: find_claimer
-- The lease of a worker, whether any attempt has a rank, and whether any may expire.
select id, exists (select 1 from attempts where lease_id is null and line is not null)
        or exists (select 1 from attempts indexed by attempts_ranked_held where lease_id is not null and line is not null),
       exists (select 1 from attempts indexed by attempts_expiring where lease_id is null and expires_at_ms is not null)
  from leases where worker = ?;

-- name: register
-- A lease, new or with another end.
insert into leases (worker, until_ms) values (:worker, :until_ms)
on conflict (worker) do update set until_ms = max(until_ms, excluded.until_ms);

-- name: extend
-- A later end of a lease.
update leases set until_ms = max(until_ms, ?) where id = ?;

-- name: repeated_claim
-- The number of the latest claim that said it may have missed answers.
select claim_number from leases where id = ?;

-- name: note_repeated_claim
-- A claim that may have missed answers.
update leases set claim_number = ? where id = ?;

-- name: expired_leases
-- Whose lease is over; there are as many leases as workers, so they are looked through.
select json_group_array(id) from leases where until_ms <= ? and worker <> ?;

-- name: leaseholders
-- All workers that have a lease.
select json_group_array(worker) from leases;

-- name: delete_lease
-- The lease is over.
delete from leases where id = ?;

-- name: give_back_runs
-- What a lease held is free.
update runs set lease_id = null, handed_id = 0,
       due_at_ms = max((select min(inbox.visible_at_ms) from inbox where inbox.run_key = runs.id), rests_until_ms)
 where lease_id = ?;

-- name: interrupted_runs
-- Held runs that were handed messages which no turn took, with the deaths that they saw at some turn, and their turns.
select json_group_array(json_array(id, deaths_count, deaths_turn,
    coalesce((select max(turns.number) from turns where turns.run_key = runs.id), 0)))
  from runs where lease_id = ? and exists (
    select 1 from inbox where inbox.run_key = runs.id and inbox.id <= runs.handed_id
       and inbox.visible_at_ms <= runs.handed_at_ms);

-- name: count_deaths_of_runs
-- Runs whose worker died.
with died (run_key, deaths_count, deaths_turn, rests_until_ms) as (values {(?, ?, ?, ?)})
update runs set deaths_count = died.deaths_count, deaths_turn = died.deaths_turn, rests_until_ms = died.rests_until_ms
  from died where runs.id = died.run_key;

-- name: drop_cancelled
-- Nobody waits for a cancelled attempt.
delete from attempts where lease_id = ? and cancelled = 1;

-- name: give_back_attempts
-- What a lease held is free, as it was.
update attempts set lease_id = null where lease_id = ?;

-- name: deaths_counts
-- How many deaths the attempts that a lease holds have seen.
select json_group_array(distinct deaths_count) from attempts where lease_id = ?;

-- name: count_deaths
-- The worker died: those that saw so many deaths are the next attempts.
update attempts set lease_id = null, attempt = attempt + 1, deaths_count = deaths_count + 1, due_at_ms = :due_at_ms,
       ready_at_ms = min(:due_at_ms, coalesce(expires_at_ms, :due_at_ms))
 where lease_id = :lease_id and deaths_count = :deaths_count;

-- name: due_runs
-- Free runs of one queue and type, oldest due first; once for each pair of these.
select json_group_array(json_array(due_at_ms, id)) from (
{select * from (select due_at_ms, id from runs
   where queue = ? and route = ? and lease_id is null and parked is null and due_at_ms <= ?
   order by due_at_ms, id limit ?) union all});

-- name: due_held_runs
-- Runs of the worker itself to which something came.
select json_group_array(json_array(due_at_ms, id)) from runs
 where lease_id = ? and due_at_ms <= ? and parked is null;

-- name: missed_runs
-- Runs handed out by claims whose answer may have been missed.
select json_group_array(json_array(visible_at_ms, run_key)) from (
  select min(inbox.visible_at_ms) as visible_at_ms, run_key from runs join inbox on inbox.run_key = runs.id
   where runs.lease_id = ? and runs.claim_number >= ? and runs.parked is null and inbox.visible_at_ms <= ?
   group by run_key);

-- name: next_run_ms
-- When the next free run of a queue and a type is due.
select min(at_ms) from (
{select (select min(due_at_ms) from runs
   where queue = ? and route = ? and lease_id is null and parked is null and due_at_ms > ?) as at_ms union all});

-- name: next_held_run_ms
-- When the next message of a held run is due.
select min(due_at_ms) from runs where lease_id = ? and due_at_ms > ? and parked is null;

-- name: claim_runs
-- The claimer holds them and has been handed all that is visible.
update runs set lease_id = ?, claim_number = ?, handed_id = ?, handed_at_ms = ?, rests_until_ms = 0,
       due_at_ms = (select min(inbox.visible_at_ms) from inbox where inbox.run_key = runs.id and inbox.visible_at_ms > ?)
 where id in (values {(?)});

-- name: visible_messages
-- All messages that runs may see, oldest first.
select run_key, data from inbox where run_key in (values {(?)}) and visible_at_ms <= ? order by visible_at_ms, id;

-- name: visible_messages_bytes
-- How many bytes those have.
select sum(length(data)) from inbox where run_key in (values {(?)}) and visible_at_ms <= ?;

-- name: visible_messages_packed
-- Those as one value.
select json_group_array(json_array(run_key, message)) from (
  select run_key, hex(data) as message from inbox
   where run_key in (values {(?)}) and visible_at_ms <= ? order by visible_at_ms, id);

-- name: fresh_attempts
-- Free attempts of one queue and activity, oldest first; once for each pair of these.
select json_group_array(json_array(ready_at_ms, run_key, call_id)) from (
{select * from (select ready_at_ms, run_key, call_id from attempts
   where queue = ? and name = ? and lease_id is null and deaths_count < 2 and line is null and ready_at_ms <= ?
   order by ready_at_ms, run_key, call_id limit ?) union all});

-- name: suspect_attempts
-- The same of attempts that saw two workers die.
select json_group_array(json_array(ready_at_ms, run_key, call_id)) from (
{select * from (select ready_at_ms, run_key, call_id from attempts
   where queue = ? and name = ? and lease_id is null and deaths_count >= 2 and line is null and ready_at_ms <= ?
   order by ready_at_ms, run_key, call_id limit ?) union all});

-- name: next_attempt_ms
-- When the next attempt of a queue and an activity can be taken.
select min(at_ms) from (
{select (select min(ready_at_ms) from attempts
   where queue = ? and name = ? and lease_id is null and deaths_count < 2 and line is null and ready_at_ms > ?) as at_ms union all});

-- name: next_suspect_ms
-- The same of attempts that saw two workers die.
select min(at_ms) from (
{select (select min(ready_at_ms) from attempts
   where queue = ? and name = ? and lease_id is null and deaths_count >= 2 and line is null and ready_at_ms > ?) as at_ms union all});

-- name: overdue_attempts
-- Free attempts that have expired, of runs of some queue and route, the oldest first. The limit is OVERDUE_MAX.
select json_group_array(json_array(run_key, call_id)) from (
  select run_key, call_id from attempts indexed by attempts_expiring join runs on runs.id = run_key
   where attempts.lease_id is null and expires_at_ms <= ? and (runs.queue, runs.route) in (select * from (values {(?, ?)}))
   order by expires_at_ms, run_key, call_id limit 1000);

-- name: next_overdue_ms
-- When the next free attempt expires, of whatever run.
select min(expires_at_ms) from attempts indexed by attempts_expiring where lease_id is null and expires_at_ms > ?;

-- name: missed_attempts
-- Attempts handed out by claims whose answer may have been missed.
select json_group_array(json_array(run_key, call_id)) from attempts where lease_id = ? and claim_number >= ?;

-- name: drop_missed_cancelled
-- Those of them that were cancelled meanwhile.
delete from attempts where lease_id = ? and claim_number >= ? and cancelled = 1;

-- name: hold_attempts
-- The claimer holds them.
update attempts set lease_id = ?, claim_number = ? where (run_key, call_id) in (select * from (values {(?, ?)}));

-- name: claimed_attempts
-- All that a claimer needs to run attempts.
select json_group_array(json_array(attempts.run_key, attempts.call_id, runs.run_id, runs.workflow_id, attempts.attempt, attempts.turn_number,
    attempts.due_at_ms, attempts.deaths_count, attempts.expires_at_ms,
    case when attempts.heartbeat is not null then hex(attempts.heartbeat) end,
    case when attempts.failure is not null then hex(attempts.failure) end, attempts.scheduled_at_ms))
  from attempts
  join runs on runs.id = attempts.run_key
 where (attempts.run_key, attempts.call_id) in (select * from (values {(?, ?)}));

-- name: held_attempts
-- Those of these attempts that a lease holds, with the number of the try.
select json_group_array(json_array(run_key, call_id, attempt, cancelled)) from attempts
 where lease_id = ? and (run_key, call_id) in (select * from (values {(?, ?)}));

-- name: any_attempts
-- Those of these attempts that exist, whoever holds them.
select json_group_array(json_array(run_key, call_id, attempt, cancelled)) from attempts
 where (run_key, call_id) in (select * from (values {(?, ?)}));

-- name: retry_attempts
-- The next try of a call, free.
with retry (run_key, call_id, attempt, due_at_ms, expires_at_ms, ready_at_ms, failure, heartbeat) as (values {(?, ?, ?, ?, ?, ?, ?, ?)})
update attempts set attempt = retry.attempt, due_at_ms = retry.due_at_ms, expires_at_ms = retry.expires_at_ms,
       ready_at_ms = retry.ready_at_ms, failure = coalesce(retry.failure, attempts.failure), lease_id = null,
       heartbeat = coalesce(retry.heartbeat, attempts.heartbeat)
  from retry where attempts.run_key = retry.run_key and attempts.call_id = retry.call_id;

-- name: beat
-- Details of the last heartbeat.
with beat (run_key, call_id, details) as (values {(?, ?, ?)})
update attempts set heartbeat = beat.details
  from beat where attempts.run_key = beat.run_key and attempts.call_id = beat.call_id;
