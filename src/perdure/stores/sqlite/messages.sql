-- name: last_run_id
-- Ids of runs are given by the writer, which holds the write lock.
select coalesce(max(seq), 0) from sqlite_sequence where name = 'runs';

-- name: last_message_id
-- Ids of messages are given by the writer as well; they order messages by arrival.
select coalesce(max(seq), 0) from sqlite_sequence where name = 'inbox';

-- name: insert_runs
-- A run whose workflow id has an open run, or a run of the same request, is left out.
insert or ignore into runs (id, run_id, workflow_id, workflow_type, queue, request_id, parent_run_id,
  created_at_ms, lease_id, route, first_run_id, note, status)
values {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'running')};

-- name: runs_since
-- Which of the runs just inserted were not left out.
select json_group_array(id) from runs where id > ?;

-- name: find_same_request
-- The run that a repeated request created.
select run_id from runs where workflow_id = ? and request_id = ?;

-- name: find_open
-- The open run of a workflow id.
select run_id from runs where workflow_id = ? and closed_at_ms is null;

-- name: find_status
-- How a run stands.
select status from runs where run_id = ?;

-- name: find_last
-- The run of a workflow id that was created last.
select run_id, status from runs where workflow_id = ? order by id desc limit 1;

-- name: find_request_of
-- The request that created a run.
select request_id from runs where run_id = ?;

-- name: open_runs
-- The open ones among these run ids.
select json_group_array(json_array(run_id, id)) from runs where closed_at_ms is null and run_id in (values {(?)});

-- name: followers
-- The open runs that go on for these, through any number of others between.
select json_group_array(json_array(before.run_id, later.id)) from runs as before
  join runs as later on later.workflow_id = before.workflow_id and later.closed_at_ms is null
   and later.first_run_id = before.first_run_id
 where before.successor is not null and before.run_id in (values {(?)});

-- name: set_successors
-- Runs that others go on for.
with following (run_key, successor) as (values {(?, ?)})
update runs set successor = following.successor from following where runs.id = following.run_key;

-- name: move_messages
-- What waits for the workflow goes to the run that goes on.
with following (run_key, next_key) as (values {(?, ?)})
update or ignore inbox set run_key = following.next_key from following
 where inbox.run_key = following.run_key and inbox.follows = 1;

-- name: run_keys
-- The ids of runs by their public ids.
select json_group_array(json_array(run_id, id)) from runs where run_id in (values {(?)});

-- name: insert_messages
-- A message that waits already is left out.
insert or ignore into inbox (id, run_key, message_id, visible_at_ms, data, follows, unparks)
values {(?, ?, ?, ?, ?, ?, ?)};

-- name: messages_since
-- Which of the messages just inserted were not left out.
select json_group_array(id) from inbox where id > ?;

-- name: notify_runs
-- Their holders, or anybody, shall see what arrived.
with arrived (run_key, at_ms, unparks) as (values {(?, ?, ?)})
update runs set due_at_ms = case
         when arrived.unparks then min(coalesce(runs.due_at_ms, arrived.at_ms), arrived.at_ms)
         else min(coalesce(runs.due_at_ms, arrived.at_ms), max(arrived.at_ms, runs.rests_until_ms)) end,
       rests_until_ms = case when arrived.unparks then 0 else runs.rests_until_ms end,
       parked = case when arrived.unparks then null else runs.parked end
  from arrived where runs.id = arrived.run_key;

-- name: closed_keys
-- The closed ones among these run ids.
select json_group_array(id) from runs where closed_at_ms is not null and run_id in (values {(?)});

-- name: delete_runs
-- Of closed runs.
delete from runs where id in (values {(?)});

-- name: delete_turns
-- Of closed runs.
delete from turns where run_key in (values {(?)});

-- name: copy_turns
-- A run begins with turns of another one.
insert into turns (run_key, number, data)
select :run_key, number, data from turns where run_key = :source and number <= :turns_count order by number;

-- name: set_origin
-- Whose first turn it begins with.
update runs set origin_run_id = ? where id = ?;

-- name: insert_copied_attempts
-- Calls that copied turns ask for.
insert into attempts (run_key, call_id, turn_number, name, queue, due_at_ms, expires_at_ms, ready_at_ms, scheduled_at_ms,
  line, weight)
values {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)};

-- name: succeed
-- The run that goes on for a closed one, unless another one does.
update runs set successor = coalesce(successor, :run_id) where id = :source and :run_key is not null;
