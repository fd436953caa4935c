"""Referrals whose signals a person sees at once."""

from __future__ import annotations

from tests.features.by_hand import MICROSECOND, MIDNIGHT, CompanyOf, ago, signals_by_account


def test_a_referral_counts_when_it_was_made_and_again_when_it_converted(
    company_of: CompanyOf,
) -> None:
    found = signals_by_account(
        company_of,
        "referrals",
        referrals={
            "made and converted": [{"referred_at": ago(20), "converted_at": ago(5)}],
            "converted on the day": [{"referred_at": ago(20), "converted_at": MIDNIGHT}],
            "made long ago, converted now": [{"referred_at": ago(400), "converted_at": ago(10)}],
            "converted long ago": [{"referred_at": ago(400), "converted_at": ago(366)}],
            "first moment of the year": [
                {"referred_at": ago(365), "converted_at": ago(365)},
                {"referred_at": ago(365) - MICROSECOND},
            ],
            "recorded late": [
                {"referred_at": ago(20), "converted_at": ago(5), "recorded_at": MIDNIGHT}
            ],
            "converted before it was made": [{"referred_at": ago(5), "converted_at": ago(6)}],
            "twice at once": [{"referred_at": ago(7)}, {"referred_at": ago(7)}],
        },
    )
    names = ("referrals_365d", "days_since_referral", "referrals_converted_365d")
    assert {account: tuple(row[name] for name in names) for account, row in found.items()} == {
        "made and converted": (1, 20, 1),
        "converted on the day": (1, 20, 0),
        "made long ago, converted now": (0, 365, 1),
        "converted long ago": (0, 365, 0),
        "first moment of the year": (1, 365, 1),
        "recorded late": (0, 365, 0),
        "converted before it was made": (1, 5, 1),
        "twice at once": (2, 7, 0),
    }


def test_without_conversions_only_what_was_made_is_told(company_of: CompanyOf) -> None:
    found = signals_by_account(
        company_of, "referrals", referrals={"A": [{"referred_at": ago(0.25)}]}
    )
    assert found == {"A": {"account_id": "A", "referrals_365d": 1.0, "days_since_referral": 0.25}}
