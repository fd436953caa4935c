with known as (
    select
        account_id,
        occurred_at,
        :midnight - occurred_at as ago,
        feature,
        -- A column without a single value is one that the world lacks: rows are counted then.
        case when (select count(quantity) from usage_events) = 0 then 1.0
             else coalesce(quantity, 0.0) end as amount
    from usage_events
    where occurred_at < :midnight
      and coalesce(recorded_at, occurred_at) < :midnight
),
named as (select * from known where account_id = :account and feature is not null),
breadth as (
    select
        (select count(distinct feature) from named where ago <= 28 * :day) as now,
        (select count(distinct feature) from named where ago > 28 * :day and ago <= 56 * :day)
            as before,
        (select count(distinct feature) from named where ago <= 90 * :day) as long,
        (select count(distinct feature) from named where ago <= 180 * :day) as half
),
spread as (
    select feature, count(distinct account_id) as accounts
    from known where feature is not null and ago <= 180 * :day group by feature
),
ranked as (
    select ago, (select 1 + count(*) from spread as o where o.accounts > spread.accounts) as place
    from named join spread using (feature)
),
key_uses as (
    select
        column1 as feature,
        (select coalesce(sum(amount), 0) from named where feature = column1 and ago <= 28 * :day)
            as uses_28,
        (select coalesce(sum(amount), 0) from named where feature = column1 and ago <= 90 * :day)
            as uses_90
    from (values ('a'), ('Übung ''x''; --'))
),
beginning as (select min(occurred_at) / :day as day from known)
select
    now as features_used_28d,
    long as features_used_90d,
    half as features_used_180d,
    case when before > 0 then (now - before) * 1.0 / before end as features_used_change,
    (select sum(amount) / nullif(now, 0) from named where ago <= 28 * :day)
        as uses_per_feature_28d,
    (select max(place) from ranked where ago <= 28 * :day) as rarest_feature_28d,
    (select max(place) from ranked where ago <= 90 * :day) as rarest_feature_90d,
    (select max(place) from ranked where ago <= 180 * :day) as rarest_feature_180d,
    (
        select max(min(named.occurred_at) - created_at, 0) * 1.0 / :day
        from accounts
        join named using (account_id)
        where account_id = :account
          and feature in (select feature from key_uses)
          and created_at / :day >= (select day from beginning)
        having count(*) > 0
    ) as days_to_first_value,
    (select avg(uses_90 > 0) from key_uses) as key_features_used_90d,
    (select uses_28 from key_uses where feature = 'a') as feature_a_28d,
    (select uses_90 from key_uses where feature = 'a') as feature_a_90d,
    (select uses_28 from key_uses where feature <> 'a') as feature_bung_x_28d,
    (select uses_90 from key_uses where feature <> 'a') as feature_bung_x_90d
from breadth
