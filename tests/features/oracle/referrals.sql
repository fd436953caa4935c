with known as (
    select * from referrals
    where account_id = :account
      and referred_at < :midnight
      and coalesce(recorded_at, referred_at) < :midnight
      and referred_at >= :midnight - 365 * :day
)
select
    (select count(*) from known) as referrals_365d,
    (select coalesce(min((:midnight - referred_at) * 1.0 / :day), 365) from known)
        as days_since_referral,
    (
        select count(*) from referrals
        where account_id = :account
          and coalesce(recorded_at, referred_at) < :midnight
          and referred_at < :midnight
          and converted_at < :midnight
          and converted_at >= :midnight - 365 * :day
    ) as referrals_converted_365d
