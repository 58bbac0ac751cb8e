-- Search attributes, a row a value: of lists one for each element; of texts the whole (class null) and one for each word.
create table attributes (
  run_key integer not null,
  name text not null,
  place integer not null,
  -- What the value was given as; null of the words of a text, which are only searched.
  kind text,
  -- What it compares with: `ValueClass`.
  class integer,
  value not null,
  primary key (run_key, name, place)
) without rowid;
create index attributes_found on attributes (name, class, value) where class is not null;

-- To list runs in the order of their starts.
create index runs_created on runs (created_at_ms);
