-- Workers that died under a run while it had so many turns, and until when it rests for that.
alter table runs add column deaths_count integer not null default 0;
alter table runs add column deaths_turn integer not null default 0;
alter table runs add column rests_until_ms integer not null default 0;
