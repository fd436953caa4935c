with events as (
    select
        :midnight - occurred_at as ago,
        occurred_at / :day as day,
        user_id,
        errors,
        -- A column without a single value is one that the world lacks: rows are counted then.
        case when (select count(quantity) from usage_events) = 0 then 1.0
             else coalesce(quantity, 0.0) end as amount
    from usage_events
    where account_id = :account
      and occurred_at < :midnight
      and coalesce(recorded_at, occurred_at) < :midnight
),
recent as (select * from events where ago <= 28 * :day),
previous as (select * from events where ago > 28 * :day and ago <= 56 * :day),
long as (select * from events where ago <= 90 * :day),
volumes as (
    select
        (select coalesce(sum(amount), 0) from recent) as now,
        (select coalesce(sum(amount), 0) from previous) as before,
        (select coalesce(sum(amount), 0) from long) as now_90,
        (select coalesce(sum(amount), 0) from events where ago <= 7 * :day) as now_7,
        (select coalesce(sum(amount), 0) from events where ago <= 180 * :day) as now_180,
        (select coalesce(sum(amount), 0) from events where ago <= 365 * :day) as now_365,
        (select coalesce(sum(amount), 0) from events
            where ago > 90 * :day and ago <= 180 * :day) as before_90,
        (select count(distinct user_id) from recent) as users,
        (select count(distinct user_id) from previous) as users_before
),
months as (
    select column1 as month, (
        select coalesce(sum(amount), 0) from events
        where ago > 28 * column1 * :day and ago <= 28 * (column1 + 1) * :day
    ) as volume
    from (values (0), (1), (2), (3), (4), (5))
),
steady as (
    select newer.month
    from months as newer join months as older on older.month = newer.month + 1
    where newer.volume >= older.volume
),
running as (
    select seats, started_at, renewal_at,
        case when ended_at < :midnight then ended_at end as ended,
        max(started_at) over () as latest
    from subscriptions
    where account_id = :account
      and started_at < :midnight
      and coalesce(recorded_at, started_at) < :midnight
),
seats as (
    select sum(seats) as paid from running
    where ended is null
      and not (renewal_at is not null and started_at < latest and renewal_at <= latest)
)
select
    now_7 as usage_7d,
    now as usage_28d,
    now_90 as usage_90d,
    now_180 as usage_180d,
    now_365 as usage_365d,
    case when before > 0 then (now - before) * 1.0 / before end as usage_change,
    case when before_90 > 0 then (now_90 - before_90) * 1.0 / before_90 end as usage_change_90d,
    (select coalesce(min(month), 5) from steady) as usage_decline_streak,
    (select count(distinct day) from recent) as active_days_28d,
    (select coalesce(min(ago) * 1.0 / :day, 90) from long) as days_since_use,
    users as active_users_28d,
    case when users_before > 0 then (users - users_before) * 1.0 / users_before end
        as active_users_change,
    now * 1.0 / nullif(users, 0) as uses_per_user_28d,
    users * 1.0 / nullif((select paid from seats), 0) as seat_utilisation,
    (select coalesce(sum(errors), 0) * 1.0 / nullif(sum(amount), 0)
        from recent where errors is not null) as error_rate_28d
from volumes
