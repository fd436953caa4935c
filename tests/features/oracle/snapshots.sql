with known as (
    select * from snapshots
    where account_id = :account
      and coalesce(observed_at, recorded_at) < :midnight
      and coalesce(recorded_at, observed_at) < :midnight
),
latest as (
    select * from known where observed_at = (select max(observed_at) from known)
)
select avg(own_number) as own_number, max(own_text) as own_text from latest
