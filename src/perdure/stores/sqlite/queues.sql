-- Attempts with a rank. How to read this file: `turns.sql`.

-- name: insert_ranked_attempts
-- One row a call.
insert or fail into attempts (run_key, call_id, turn_number, name, queue, due_at_ms, expires_at_ms, ready_at_ms, lease_id,
  line, weight)
values {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)};

-- name: lines
-- The lines of free attempts by queue and activity: a step of the index for each, however many wait in it.
with recursive asked (queue, name) as (values {(?, ?)}),
  found (queue, name, line) as (
    select queue, name, (select attempts.line from attempts
       where attempts.queue = asked.queue and attempts.name = asked.name
         and attempts.lease_id is null and attempts.line is not null order by attempts.line limit 1)
      from asked
    union all
    select queue, name, (select attempts.line from attempts
       where attempts.queue = found.queue and attempts.name = found.name
         and attempts.lease_id is null and attempts.line > found.line order by attempts.line limit 1)
      from found where found.line is not null)
select json_group_array(json_array(queue, name, line)) from found where line is not null;

-- name: ranked_attempts
-- Some free attempts of one line and activity, oldest first; once for each of these, led by its number.
select json_group_array(json_array(number, ready_at_ms, run_key, call_id, weight, deaths_count, expires_at_ms)) from (
{select * from (select ? as number, ready_at_ms, run_key, call_id, weight, deaths_count, expires_at_ms from attempts
   where queue = ? and name = ? and line = ? and lease_id is null and ready_at_ms <= ?
   order by ready_at_ms, run_key, call_id limit ? offset ?) union all});

-- name: plain_attempts
-- The same of those without a rank.
select json_group_array(json_array(number, ready_at_ms, run_key, call_id, 1000, deaths_count, expires_at_ms)) from (
{select * from (select ? as number, ready_at_ms, run_key, call_id, deaths_count, expires_at_ms from attempts
   where queue = ? and name = ? and line is null and lease_id is null and deaths_count < 2 and ready_at_ms <= ?
   order by ready_at_ms, run_key, call_id limit ? offset ?) union all});

-- name: plain_suspects
-- The same of those that saw two workers die.
select json_group_array(json_array(number, ready_at_ms, run_key, call_id, 1000, deaths_count, expires_at_ms)) from (
{select * from (select ? as number, ready_at_ms, run_key, call_id, deaths_count, expires_at_ms from attempts
   where queue = ? and name = ? and line is null and lease_id is null and deaths_count >= 2 and ready_at_ms <= ?
   order by ready_at_ms, run_key, call_id limit ? offset ?) union all});

-- name: next_ranked_ms
-- When the next attempt of a line and an activity that saw at most so many workers die can be taken.
select min(at_ms) from (
{select (select min(ready_at_ms) from attempts
   where queue = ? and name = ? and line = ? and lease_id is null and ready_at_ms > ? and deaths_count <= ?) as at_ms
 union all});

-- name: held_in_lines
-- How many attempts of each line are held.
select json_group_array(json_array(queue, line, count)) from (
  select queue, line, count(*) as count from attempts
   where queue in (values {(?)}) and lease_id is not null and line is not null group by queue, line);

-- name: rank_plain_attempts
-- Plain attempts that a queue with limits hands out: only what has a line is counted.
update attempts set line = ?, weight = 1000
 where line is null and (run_key, call_id) in (select * from (values {(?, ?)}));

-- name: books
-- What is remembered of queues.
select json_group_array(json_array(queue, what, whose, number)) from books where queue in (values {(?)});

-- name: write_books
-- Numbers, new or changed.
insert into books (queue, what, whose, number) values {(?, ?, ?, ?)}
on conflict (queue, what, whose) do update set number = excluded.number;

-- name: clear_books
-- Numbers that need not be remembered.
delete from books where (queue, what, whose) in (select * from (values {(?, ?, ?)}));
