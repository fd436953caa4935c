-- Uses of the window before the observation date, as known on it, and of the outcome window, by all
-- rows whenever they were recorded: counted as events, users and features.
with uses as (
    select *, coalesce(quantity, 0) as amount from usage_events
    where account_id = :account and (:feature is null or feature = :feature)
)
select
    (select count(*) from uses where occurred_at >= :midnight - :horizon * :day
        and occurred_at < :midnight and coalesce(recorded_at, occurred_at) < :midnight) as rows_before,
    (select total(amount) from uses where occurred_at >= :midnight - :horizon * :day
        and occurred_at < :midnight and coalesce(recorded_at, occurred_at) < :midnight)
        as events_before,
    (select count(distinct user_id) from uses where occurred_at >= :midnight - :horizon * :day
        and occurred_at < :midnight and coalesce(recorded_at, occurred_at) < :midnight)
        as users_before,
    (select count(distinct feature) from uses where occurred_at >= :midnight - :horizon * :day
        and occurred_at < :midnight and coalesce(recorded_at, occurred_at) < :midnight)
        as features_before,
    (select count(*) from uses where occurred_at >= :midnight + :lead * :day
        and occurred_at < :midnight + (:lead + :horizon) * :day) as rows_within,
    (select total(amount) from uses where occurred_at >= :midnight + :lead * :day
        and occurred_at < :midnight + (:lead + :horizon) * :day) as events_within,
    (select count(distinct user_id) from uses where occurred_at >= :midnight + :lead * :day
        and occurred_at < :midnight + (:lead + :horizon) * :day) as users_within,
    (select count(distinct feature) from uses where occurred_at >= :midnight + :lead * :day
        and occurred_at < :midnight + (:lead + :horizon) * :day) as features_within
