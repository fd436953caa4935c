with known as (
    select
        due_at,
        amount,
        failed_attempts,
        case when paid_at < :midnight then paid_at end as paid,
        case when refunded_at < :midnight then refunded_at end as refunded
    from invoices
    where account_id = :account
      and issued_at < :midnight
      and coalesce(recorded_at, issued_at) < :midnight
),
overdue as (select * from known where paid is null and due_at < :midnight),
due_180 as (select * from known where due_at < :midnight and due_at >= :midnight - 180 * :day),
refunded_180 as (select * from known where refunded >= :midnight - 180 * :day),
moments (lag, moment) as (
    select column1, :midnight - column1 * :day from (values (0), (90), (180))
),
terms as (
    select lag, moment, started_at, renewal_at, mrr, seats, discount, billing_period, auto_renew,
        case when ended_at < moment then ended_at end as ended,
        max(started_at) over (partition by lag) as latest_start
    from moments
    join subscriptions
      on account_id = :account
     and started_at < moment
     and coalesce(recorded_at, started_at) < moment
),
running as (
    select * from terms
    where ended is null
      and not (
          renewal_at is not null and started_at < latest_start and renewal_at <= latest_start
      )
),
contracts as (
    select lag, sum(mrr) as mrr, sum(mrr) * 1.0 / nullif(sum(seats), 0) as price
    from running
    where exists (
        select * from accounts
        where account_id = :account
          and (created_at is null or created_at < moment)
          and (recorded_at is null or recorded_at < moment)
    )
      and not exists (
        select * from churn_events
        where account_id = :account
          and churned_at < moment
          and coalesce(recorded_at, churned_at) < moment
          and churned_at > latest_start
    )
    group by lag
),
today as (select * from running where lag = 0),
newest as (select * from today where started_at = (select max(started_at) from today)),
renewing as (select * from today where renewal_at >= :midnight)
select
    (select count(*) from overdue) as overdue_invoices,
    (select coalesce(max(:midnight - due_at), 0) * 1.0 / :day from overdue) as overdue_days,
    (select avg(max(coalesce(paid, :midnight) - due_at, 0)) / :day from due_180) as days_late_180d,
    (select coalesce(sum(amount), 0) from overdue) as overdue_amount,
    (select coalesce(sum(failed_attempts), 0) from known where paid >= :midnight - 180 * :day)
        as failed_payments_180d,
    (select count(*) from refunded_180) as refunds_180d,
    (select coalesce(sum(amount), 0) from refunded_180) as refunded_amount_180d,
    (select min(renewal_at - :midnight) * 1.0 / :day from renewing) as days_to_renewal,
    (
        select avg(renewal_at - started_at) / :day from renewing
        where renewal_at = (select min(renewal_at) from renewing)
    ) as term_days,
    (
        select renewal_at >= :midnight + :lead * :day
            and renewal_at < :midnight + (:lead + :horizon) * :day
        from renewing order by renewal_at limit 1
    ) as renewal_due,
    (select max(billing_period) from newest) as billing_period,
    (select min(auto_renew) from newest) as auto_renew,
    (select avg(discount) from today) as discount,
    (
        select (n.mrr - t.mrr) * 1.0 / t.mrr from contracts n, contracts t
        where n.lag = 0 and t.lag = 90 and t.mrr > 0
    ) as mrr_change_90d,
    (
        select (n.mrr - t.mrr) * 1.0 / t.mrr from contracts n, contracts t
        where n.lag = 0 and t.lag = 180 and t.mrr > 0
    ) as mrr_change_180d,
    (
        select (n.price - t.price) * 1.0 / t.price from contracts n, contracts t
        where n.lag = 0 and t.lag = 180 and t.price > 0
    ) as price_change_180d
