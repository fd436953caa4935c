with known as (
    select attended_at, user_id, completed, lower(trim(course)) as course
    from trainings
    where account_id = :account
      and attended_at < :midnight
      and coalesce(recorded_at, attended_at) < :midnight
      and attended_at >= :midnight - 365 * :day
),
active as (
    select count(distinct user_id) as users
    from usage_events
    where account_id = :account
      and occurred_at < :midnight
      and coalesce(recorded_at, occurred_at) < :midnight
      and occurred_at >= :midnight - 90 * :day
)
select
    (select count(*) from known where attended_at >= :midnight - 180 * :day) as trainings_180d,
    (select count(*) from known) as trainings_365d,
    (select coalesce(min((:midnight - attended_at) * 1.0 / :day), 365) from known)
        as days_since_training,
    (select avg(completed) from known) as training_completion_365d,
    (select count(distinct course) from known) as courses_365d,
    (
        select min(1.0, (select count(distinct user_id) from known) * 1.0 / nullif(users, 0))
        from active
    ) as users_trained_share
