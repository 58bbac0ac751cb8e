-- name: drop_attributes
-- Those that are replaced or taken away.
delete from attributes where (run_key, name) in (select * from (values {(?, ?)}));

-- name: insert_attributes
-- One row a value.
insert into attributes (run_key, name, place, kind, class, value) values {(?, ?, ?, ?, ?, ?)};

-- name: read_attributes
-- As they were given, without the words of texts.
select run_key, name, kind, value from attributes where kind is not null and run_key in (values {(?)})
 order by run_key, name, place;

-- name: delete_attributes
-- Of closed runs.
delete from attributes where run_key in (values {(?)});
