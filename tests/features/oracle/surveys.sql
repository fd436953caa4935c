with known as (
    select
        coalesce(sent_at, responded_at) as sent,
        lower(trim(kind)) as kind,
        case when responded_at < :midnight then responded_at end as answered,
        case when responded_at < :midnight then score end as score
    from surveys
    where account_id = :account
      and coalesce(sent_at, responded_at) < :midnight
      and coalesce(recorded_at, sent_at, responded_at) < :midnight
),
answers as (select * from known where answered >= :midnight - 365 * :day),
scored as (
    select *, max(answered) over (partition by kind) as latest
    from answers where score is not null
),
kinds as (
    select
        kind,
        avg(score) filter (where answered = latest) as last_score,
        avg(score) filter (where answered < latest) as earlier_score
    from scored group by kind
)
select
    (select last_score from kinds where kind = 'nps') as nps_last,
    (select last_score - earlier_score from kinds where kind = 'nps') as nps_trend,
    (select last_score from kinds where kind = 'csat') as csat_last,
    (select last_score - earlier_score from kinds where kind = 'csat') as csat_trend,
    (select last_score from kinds where kind = 'ces') as ces_last,
    (select last_score - earlier_score from kinds where kind = 'ces') as ces_trend,
    (select coalesce(min((:midnight - answered) * 1.0 / :day), 365) from answers)
        as days_since_survey_answer,
    (select avg(answered is null) from known where sent >= :midnight - 180 * :day)
        as surveys_unanswered_180d
