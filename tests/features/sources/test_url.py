"""Addresses: what is in them, what is shown of them, and that no password ever is."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import SettingsError
from features.sources.url import masked, masked_comments, parse_url, with_environment

FORM = "postgresql://HOST"
HOSTILE = ("p@ss:w/rd%", "'\"`\\", "pässwörd ☃", "${HOME}x", "a b\n", "?#&=@@::", "%41")


@pytest.mark.parametrize("password", HOSTILE)
def test_an_encoded_password_arrives_whole_and_is_never_shown(password: str) -> None:
    url = f"postgresql://me:{quote(password, safe='')}@server:5433/crm?schema=sales"
    parsed = parse_url(url, FORM)
    assert (parsed.password, parsed.user, parsed.host) == (password, "me", "server")
    assert (parsed.port, parsed.database, parsed.query) == ("5433", "crm", {"schema": "sales"})
    assert parsed.shown == "postgresql://me:***@server:5433/crm?schema=sales"
    assert password not in repr(parsed)
    assert parsed.scrub(f"broken {password} here") == "broken *** here"


@pytest.mark.parametrize("password", HOSTILE)
def test_a_password_from_the_environment_needs_no_encoding(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", password)
    monkeypatch.setenv("PGPORT", "5433")
    parsed = parse_url("postgresql://me:${DB_PASSWORD}@server:${PGPORT}/crm", FORM)
    assert (parsed.password, parsed.port) == (password, "5433")
    assert parsed.shown == "postgresql://me:${DB_PASSWORD}@server:${PGPORT}/crm"
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:{quote(password, safe='')}@server/crm")
    assert parse_url(with_environment("${DATABASE_URL}"), FORM).password == password


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DB_PASSWORD", raising=False)
    for read in (with_environment, lambda url: parse_url("postgresql://me:" + url + "@s/d", FORM)):
        with pytest.raises(SettingsError) as caught:
            read("${DB_PASSWORD}")
        assert str(caught.value) == (
            "The source names the environment variable 'DB_PASSWORD', which is not set; set it or"
            " correct source.url"
        )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cr3t/x@server/crm",
        "postgresql://me:s3cr3t@x@server/crm",
        "postgresql://me:s3cr3t/crm",
        "postgresql://me:s3cr3t",
        "postgresql://me:s3cr3t?schema=x",
        "postgresql://me:12s3cr3t@[::1/crm",
        "postgresql://server:54x3s3cr3t/crm",
        "postgresql://me:s3cr3t@server:port/crm",
        "postgresql://me:a@s3cr3t@server/crm#x",
    ],
)
def test_a_malformed_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_url(url, FORM)
    assert "s3cr3t" not in str(caught.value)
    assert re.fullmatch(
        r"The source 'postgresql://[^']*' must have the form postgresql://HOST and has not; write"
        r" any of @ : / \? # % in a name or password as %40 %3A %2F %3F %23 %25, or give the"
        r" password as \$\{NAME\}",
        str(caught.value),
    )


@pytest.mark.parametrize("key", ["password", "sslpassword", "PassWord", "spark.hadoop.x.secret"])
def test_secret_options_are_hidden(key: str) -> None:
    url = f"spark://?{key}=s3cr3t&folder=data"
    assert masked(url) == f"spark://?{key}=***&folder=data"
    assert parse_url(url, FORM).scrub("s3cr3t!") == "***!"


@given(st.text(min_size=1).filter(lambda text: text.strip("*") == text), st.booleans())
def test_no_text_between_colon_and_at_sign_is_shown(password: str, encoded: bool) -> None:
    written = quote(password, safe="") if encoded else password
    if re.fullmatch(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}", written):
        return
    assert masked(f"postgresql://me:{written}@h/d") == "postgresql://me:***@h/d"


def test_addresses_in_comments_are_hidden_too() -> None:
    text = '# old = "postgresql://me:pa#s/s@w@server/crm"\nx = 1 # see http://a.b:80/c\n'
    shown = '# old = "postgresql://me:***@server/crm"\nx = 1 # see http://a.b:80/c\n'
    assert masked_comments(text) == shown


def test_folders_are_shown_as_they_are() -> None:
    for url in ("data", "/a/b:c@d", "duckdb:///x/it's.duckdb", "C:\\data"):
        assert masked(url) == url
