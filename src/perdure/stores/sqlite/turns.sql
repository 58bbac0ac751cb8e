-- How to read these files: `{...}` is repeated once a row, joined by commas, or by `union all` where it ends with that.

-- name: count_steady
-- How many of the commits are the next turn of a run that the worker holds; a closed run is held by nobody.
with asked (run_key, number) as (values {(?, ?)})
select count(*) from asked cross join runs on runs.id = asked.run_key
 where runs.lease_id = ?
   and asked.number = 1 + coalesce((select max(turns.number) from turns where turns.run_key = asked.run_key), 0);

-- name: next_numbers
-- The open ones among these runs, with the number that their next turn has.
with asked (run_key) as (values {(?)})
select json_group_array(json_array(
    runs.id, 1 + coalesce((select max(turns.number) from turns where turns.run_key = runs.id), 0)))
  from asked cross join runs on runs.id = asked.run_key where runs.closed_at_ms is null;

-- name: insert_turns
-- One row a commit. Whatever fails rolls back the whole transaction: `or fail` saves the copies of pages that would
-- let one statement be undone alone.
insert or fail into turns (run_key, number, data) values {(?, ?, ?)};

-- name: close_runs
-- A closed run waits for nothing and is held by nobody.
with closing (run_key, status, closed_at_ms) as (values {(?, ?, ?)})
update runs set status = closing.status, closed_at_ms = closing.closed_at_ms, parked = null, lease_id = null,
       due_at_ms = null, handed_id = 0
  from closing where runs.id = closing.run_key;

-- name: empty_inboxes
-- What waits for runs that close.
delete from inbox where run_key in (values {(?)});

-- name: delete_attempts_of_runs
-- The attempts of runs that close.
delete from attempts where run_key in (values {(?)});

-- name: consume
-- Messages that a turn took, or that nobody wants any more.
delete from inbox where (run_key, message_id) in (select * from (values {(?, ?)}));

-- name: delete_attempts
-- Attempts that are over.
delete from attempts where (run_key, call_id) in (select * from (values {(?, ?)}));

-- name: mark_cancelled
-- A held attempt is told by the answer to the next heartbeat.
update attempts set cancelled = 1 where lease_id is not null and (run_key, call_id) in (select * from (values {(?, ?)}));

-- name: delete_waiting_attempts
-- Cancelled before anybody took them.
delete from attempts where lease_id is null and (run_key, call_id) in (select * from (values {(?, ?)}));

-- name: insert_attempts
-- One row a call.
insert or fail into attempts (run_key, call_id, turn_number, name, queue, due_at_ms, expires_at_ms, ready_at_ms, lease_id)
values {(?, ?, ?, ?, ?, ?, ?, ?, ?)};

-- name: change_runs
-- What a turn says of its run: where it goes, and what it tells of itself.
with changed (run_key, route, note) as (values {(?, ?, ?)})
update runs set route = coalesce(changed.route, runs.route), note = coalesce(changed.note, runs.note)
  from changed where runs.id = changed.run_key;

-- name: hold_runs
-- Give runs to a lease; a new holder was handed nothing yet.
update runs set
       due_at_ms = (select min(inbox.visible_at_ms) from inbox where inbox.run_key = runs.id
          and (runs.lease_id is not ? or inbox.id > runs.handed_id or inbox.visible_at_ms > runs.handed_at_ms)),
       handed_id = case when lease_id is ? then handed_id else 0 end,
       lease_id = ?, rests_until_ms = 0
 where id in (values {(?)});

-- name: free_runs
-- Runs that nobody holds any longer.
update runs set lease_id = null, handed_id = 0, rests_until_ms = 0,
       due_at_ms = (select min(inbox.visible_at_ms) from inbox where inbox.run_key = runs.id)
 where id in (values {(?)});

-- name: park_run
-- A run that cannot go on and has as many turns as it had for the worker that says so.
update runs set parked = :failure, lease_id = null, handed_id = 0,
       due_at_ms = (select min(inbox.visible_at_ms) from inbox where inbox.run_key = runs.id)
 where run_id = :run_id and lease_id = :lease_id
   and :turns_count = coalesce((select max(turns.number) from turns where turns.run_key = runs.id), 0)
   and not exists (select 1 from inbox where inbox.run_key = runs.id and inbox.unparks = 1
                      and inbox.message_id not in (select value from json_each(:seen)));
