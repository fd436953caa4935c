-- How an account's MRR changed from the observation date to the end of the outcome window, by all
-- rows whenever they were recorded. :sign is 1 for expansion and -1 for contraction.
with moments(name, at) as (
    values ('now', :midnight),
           ('opening', :midnight + :lead * :day),
           ('closing', :midnight + (:lead + :horizon) * :day)
),
latest as (
    select m.name, m.at, max(s.started_at) as start
    from moments m join subscriptions s on s.account_id = :account and s.started_at < m.at
    group by m.name, m.at
),
running as (
    select l.name, s.mrr
    from latest l join subscriptions s on s.account_id = :account and s.started_at < l.at
    where (s.ended_at is null or s.ended_at >= l.at)
      and not (s.renewal_at is not null and s.started_at < l.start and s.renewal_at <= l.start)
      and not exists (
          select 1 from churn_events c
          where c.account_id = :account and c.churned_at < l.at and c.churned_at > l.start
      )
),
sums as (
    select name, total(mrr) as mrr, count(*) > count(mrr) as unknown from running group by name
),
sides as (
    select (select mrr from sums where name = 'now') as now,
           (select mrr from sums where name = 'opening') as opening,
           (select mrr from sums where name = 'closing') as closing,
           exists (select 1 from sums where unknown) as unknown
)
select case
    when now is null or opening is null or unknown then null
    when :sign * (opening - now) >= :share * now and opening <> now then null
    when closing is null then iif(:sign > 0, 0, null)
    else :sign * (closing - now) >= :share * now and closing <> now
end as happened
from sides
