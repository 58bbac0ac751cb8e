-- name: list_runs
-- Newest first.
select json_group_array(id) from (select runs.id from {chosen} order by runs.run_id desc limit ?);

-- name: list_runs_in_order
-- By other keys: of those chosen, what comes after a mark.
select json_group_array(id) from (select id from
  (select runs.id as id, runs.run_id as run_id, {keys} from {chosen}) where {after} order by {order} limit ?);

-- name: find_mark
-- The keys of the run where the last page ended.
select {keys} from runs where runs.run_id = ?;

-- name: count_runs
-- How many, by status.
select json_group_array(json_array(status, amount)) from
  (select runs.status as status, count(*) as amount from {chosen} group by runs.status);

-- name: chosen_by_index
-- What {chosen} stands for where an index of attributes or of runs finds those that may fit: these, each looked at.
(select run_key from ({found})) as found cross join runs on runs.id = found.run_key where {fit};

-- name: chosen
-- What {chosen} stands for otherwise: all runs, each looked at until enough of them fit.
runs where {fit};

-- name: find_attribute
-- Runs with an attribute of one class whose value fits: one of the parts of {found}.
select distinct run_key from attributes where name = ? and class = {class} and {value};

-- name: find_any_attribute
-- Runs with an attribute.
select distinct run_key from attributes where name = ? and class is not null;

-- name: find_workflow_id
-- Runs with a workflow id that fits.
select id as run_key from runs where {workflow_id};

-- name: find_run_id
-- Runs with a run id that fits.
select id as run_key from runs where {run_id};

-- name: fits_attribute
-- The run has an attribute whose value fits.
exists (select 1 from attributes where run_key = runs.id and name = ? and ({value}));

-- name: fits_no_attribute
-- The run has no such attribute.
not exists (select 1 from attributes where run_key = runs.id and name = ?);

-- name: fits_words
-- The run has a text with all of these words.
? = (select count(*) from attributes where run_key = runs.id and name = ? and class = {class} and value in ({words}));

-- name: field_WorkflowId
-- What a field is here; so the others that follow.
runs.workflow_id;

-- name: field_RunId
-- Of every run.
runs.run_id;

-- name: field_WorkflowType
-- Of every run.
runs.workflow_type;

-- name: field_TaskQueue
-- Of every run.
runs.queue;

-- name: field_ParentRunId
-- Null where no run started it.
runs.parent_run_id;

-- name: field_ExecutionStatus
-- Of every run.
runs.status;

-- name: field_StartTime
-- Of every run.
runs.created_at_ms;

-- name: field_CloseTime
-- Null while it is open.
runs.closed_at_ms;

-- name: field_ExecutionDuration
-- Null while it is open.
(runs.closed_at_ms - runs.created_at_ms);

-- name: field_HistoryLength
-- In turns.
coalesce((select max(turns.number) from turns where turns.run_key = runs.id), 0);

-- name: field_Parked
-- One or zero.
(runs.parked is not null);

-- name: field_attribute
-- What a run is sorted by: texts and lists are not.
(select value from attributes where run_key = runs.id and name = ? and place = 0
    and kind in ('keyword', 'int', 'double', 'bool', 'datetime'));
