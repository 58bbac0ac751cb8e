-- Attempts with a rank: priority and fairness key as one text, and thousandths of a weight. Plain ones have neither, and
-- keep an index of their own: whoever uses no ranks pays for none.
alter table attempts add column line text;
alter table attempts add column weight integer;

drop index attempts_fresh;
drop index attempts_suspect;
create index attempts_fresh on attempts (queue, name, ready_at_ms)
  where lease_id is null and deaths_count < 2 and line is null;
create index attempts_suspect on attempts (queue, name, ready_at_ms)
  where lease_id is null and deaths_count >= 2 and line is null;
create index attempts_ranked on attempts (queue, name, line, ready_at_ms)
  where lease_id is null and line is not null;
create index attempts_ranked_held on attempts (queue, line) where lease_id is not null and line is not null;

-- What choosing among ranked attempts must remember: see `core.dispatch`.
create table books (
  queue text not null,
  what text not null,
  whose text not null,
  number integer not null,
  primary key (queue, what, whose)
) without rowid;
