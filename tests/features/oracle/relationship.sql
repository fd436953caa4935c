with known as (
    select account_id, rater, lower(trim(dimension)) as dimension, rating, rated_at
    from ratings
    where rating is not null
      and rater is not null
      and dimension is not null
      and rated_at < :midnight
      and coalesce(recorded_at, rated_at) < :midnight
      and rated_at >= :midnight - 365 * :day
),
centred as (
    select *, rating - avg(rating) over (partition by dimension) as y from known
),
cells as (
    select
        account_id, rater,
        count(*) * 1.0 as n,
        avg(y) as m,
        sum(count(*)) over (partition by account_id) as n_account,
        sum(count(*)) over (partition by rater) as n_rater
    from centred group by account_id, rater
),
size as (
    select
        count(*) * 1.0 as n,
        count(distinct account_id) as accounts,
        count(distinct rater) as raters,
        avg(y * y) as mean_square
    from centred
),
noise as (
    select
        -- Where no rater rated an account twice, noise is unknown and no rater is corrected.
        sum((y - m) * (y - m))
            / nullif((select n from size) - (select count(*) from cells), 0) as v
    from centred join cells using (account_id, rater)
),
sums as (
    select
        (select sum(total * total / rows) from
            (select sum(y) as total, count(*) as rows from centred group by account_id)) as of_a,
        (select sum(total * total / rows) from
            (select sum(y) as total, count(*) as rows from centred group by rater)) as of_r,
        (select sum(rows * rows) * 1.0 / (select n from size) from
            (select count(*) as rows from centred group by account_id)) as k_a,
        (select sum(rows * rows) * 1.0 / (select n from size) from
            (select count(*) as rows from centred group by rater)) as k_r,
        (select sum(n * n / n_account) from cells) as c_a,
        (select sum(n * n / n_rater) from cells) as c_r
),
equations as (
    select
        n - k_a as aa, c_a - k_r as ar, c_r - k_a as ra, n - k_r as rr,
        of_a - (accounts - 1) * (select v from noise) as left_a,
        of_r - (raters - 1) * (select v from noise) as left_r,
        n, mean_square, (select v from noise) as v_e
    from sums, size
),
solved as (
    select
        *,
        case when aa * rr - ar * ra > 1e-9 * n * n
            then (left_a * rr - left_r * ar) / (aa * rr - ar * ra) end as v_a,
        case when aa * rr - ar * ra > 1e-9 * n * n
            then (left_r * aa - left_a * ra) / (aa * rr - ar * ra) end as v_r
    from equations
),
variances as (
    select
        case when v_e > 1e-9 * mean_square then v_e else 0 end as v_e,
        case when v_a > 1e-9 * mean_square then v_a else 0 end as v_a,
        case when v_r > 1e-9 * mean_square then v_r else 0 end as v_r
    from solved
),
-- One row per rater; each round compares with the others' ratings less their last leniency.
weighed as (
    select
        account_id, rater, n, m,
        case when v_a * n_account + v_e > 0
            then n * (v_a * (n_account - n) + v_e) / (v_a * n_account + v_e) else n end as weight,
        case when v_a * (n_account - n) + v_e > 0
            then v_a / (v_a * (n_account - n) + v_e) else 0 end as to_level,
        v_r, v_e
    from cells, variances
),
round_1 as (
    select rater, coalesce(sum(weight * (m - to_level * (
        select coalesce(sum(o.n * o.m), 0) from weighed as o
        where o.account_id = w.account_id and o.rater <> w.rater
    ))) * max(v_r) / nullif(sum(weight) * max(v_r) + max(v_e), 0), 0) as lenient
    from weighed as w group by rater
),
round_2 as (
    select rater, coalesce(sum(weight * (m - to_level * (
        select coalesce(sum(o.n * (o.m - lenient)), 0) from weighed as o join round_1 using (rater)
        where o.account_id = w.account_id and o.rater <> w.rater
    ))) * max(v_r) / nullif(sum(weight) * max(v_r) + max(v_e), 0), 0) as lenient
    from weighed as w group by rater
),
round_3 as (
    select rater, coalesce(sum(weight * (m - to_level * (
        select coalesce(sum(o.n * (o.m - lenient)), 0) from weighed as o join round_2 using (rater)
        where o.account_id = w.account_id and o.rater <> w.rater
    ))) * max(v_r) / nullif(sum(weight) * max(v_r) + max(v_e), 0), 0) as lenient
    from weighed as w group by rater
),
round_4 as (
    select rater, coalesce(sum(weight * (m - to_level * (
        select coalesce(sum(o.n * (o.m - lenient)), 0) from weighed as o join round_3 using (rater)
        where o.account_id = w.account_id and o.rater <> w.rater
    ))) * max(v_r) / nullif(sum(weight) * max(v_r) + max(v_e), 0), 0) as lenient
    from weighed as w group by rater
),
fair as (
    select dimension, rater, rated_at, rating - round(lenient * 1048576) / 1048576 as rating
    from known join round_4 using (rater)
    where account_id = :account
),
latest as (
    select
        dimension,
        avg(rating) as now,
        (
            select avg(older.rating) from fair as older
            where older.dimension = fair.dimension
              and older.rated_at = (
                  select max(rated_at) from fair as o
                  where o.dimension = fair.dimension and o.rated_at < :midnight - 90 * :day
              )
        ) as before
    from fair
    where rated_at = (
        select max(rated_at) from fair as newest where newest.dimension = fair.dimension
    )
    group by dimension
)
select
    (select avg(now) from latest) as rating_overall,
    (select avg(now - before) from latest) as rating_change_90d,
    (
        select avg(apart) from (
            select max(rating) - min(rating) as apart from (
                select dimension, avg(rating) as rating from fair group by dimension, rater
            )
            group by dimension having count(*) > 1
        )
    ) as rating_disagreement,
    (select coalesce((:midnight - max(rated_at)) * 1.0 / :day, 365) from fair) as days_since_rating,
    (select now from latest where dimension = 'a') as rating_a,
    (select now from latest where dimension = 'Übung ''x''; --') as rating_bung_x
