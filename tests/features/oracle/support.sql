with known as (
    select
        opened_at,
        priority,
        lower(trim(category)) as category,
        case when first_response_at < :midnight then first_response_at end as answered,
        case when closed_at < :midnight then closed_at end as closed,
        escalated,
        reopened,
        csat,
        sentiment
    from tickets
    where account_id = :account
      and opened_at < :midnight
      and coalesce(recorded_at, opened_at) < :midnight
),
opened_30 as (select * from known where opened_at >= :midnight - 30 * :day),
opened_90 as (select * from known where opened_at >= :midnight - 90 * :day),
opened_180 as (select * from known where opened_at >= :midnight - 180 * :day),
before_90 as (
    select * from known
    where opened_at >= :midnight - 180 * :day and opened_at < :midnight - 90 * :day
),
still_open as (select * from known where closed is null),
closed_180 as (select * from known where closed >= :midnight - 180 * :day),
answered_180 as (select * from known where answered >= :midnight - 180 * :day)
select
    (select count(*) from known where opened_at >= :midnight - 14 * :day) as tickets_opened_14d,
    (select count(*) from opened_30) as tickets_opened_30d,
    (select count(*) from opened_90) as tickets_opened_90d,
    (select count(*) from opened_180) as tickets_opened_180d,
    (
        select case when count(*) > 0
            then ((select count(*) from opened_90) - count(*)) * 1.0 / count(*) end
        from before_90
    ) as tickets_opened_change,
    (select count(*) from still_open) as tickets_open,
    (select coalesce(max(:midnight - opened_at), 0) * 1.0 / :day from still_open)
        as oldest_open_ticket,
    (select avg(closed - opened_at) / :day from closed_180 where closed >= opened_at)
        as days_to_close_180d,
    (select avg(answered - opened_at) / :day from answered_180 where answered >= opened_at)
        as first_response_180d,
    (select count(*) from closed_180 where escalated = 1) as escalated_180d,
    (select count(*) from closed_180 where reopened = 1) as reopened_180d,
    (
        select avg(lower(priority) in ('urgent', 'high')) from opened_90 where priority is not null
    ) as severe_share_90d,
    (select avg(category = 'bug') from opened_180) as bug_share_180d,
    (select avg(category = 'how-to') from opened_180) as how_to_share_180d,
    (select avg(category = 'feature request') from opened_180) as feature_request_share_180d,
    (select count(category) - count(distinct category) from opened_90) as repeat_tickets_90d,
    (select avg(csat) from closed_180) as ticket_csat_180d,
    (select avg(sentiment) from closed_180) as ticket_sentiment_180d
