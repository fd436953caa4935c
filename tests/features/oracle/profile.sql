with running as (
    select
        seats, mrr, plan, started_at, renewal_at,
        case when ended_at < :midnight then ended_at end as ended,
        max(started_at) over () as latest
    from subscriptions
    where account_id = :account
      and started_at < :midnight
      and coalesce(recorded_at, started_at) < :midnight
),
today as (
    select * from running
    where ended is null
      and not (renewal_at is not null and started_at < latest and renewal_at <= latest)
)
select
    industry,
    employees,
    (:midnight - created_at) * 1.0 / :day as tenure_days,
    case
        when created_at is null then null
        when :midnight - created_at < 90 * :day then 'onboarding'
        when exists (
            select * from today
            where renewal_at >= :midnight and renewal_at <= :midnight + 90 * :day
        ) then 'renewal'
        else 'established'
    end as lifecycle_stage,
    (select sum(seats) from today) as seats,
    (select sum(mrr) from today) as mrr,
    (select max(plan) from today where started_at = (select max(started_at) from today)) as plan
from accounts
where account_id = :account
