"""Domains of companies, taken from addresses of mail and of the web."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

FREE_MAIL = (
    "gmail.com", "googlemail.com", "yahoo.com", "yahoo.co.uk", "yahoo.fr", "yahoo.de", "ymail.com",
    "hotmail.com", "hotmail.co.uk", "hotmail.fr", "outlook.com", "live.com", "msn.com", "aol.com",
    "icloud.com", "me.com", "mac.com", "gmx.com", "gmx.de", "gmx.net", "web.de", "t-online.de",
    "mail.com", "mail.ru", "yandex.ru", "yandex.com", "proton.me", "protonmail.com", "qq.com",
    "163.com", "126.com", "zoho.com", "fastmail.com", "orange.fr", "wanadoo.fr", "free.fr",
    "libero.it", "naver.com", "comcast.net", "verizon.net", "att.net", "example.com",
)  # fmt: skip
"""Providers whose domain says nothing of the company that an address belongs to."""


def clean_domain(text: ir.StringValue) -> ir.StringValue:
    """Return the domain of an address of mail or of the web, without case and ``www.``.

    A domain of a provider of free mail, and what is no domain, are missing.

    Examples
    --------
    >>> one = clean_domain(ibis.literal("https://WWW.Acme.com/about"))
    >>> ibis.duckdb.connect().execute(one)
    'acme.com'
    """
    bare = text.strip().lower().re_replace(r"^[a-z]+://", "").re_replace(r"^.*@", "")
    bare = bare.re_replace(r"[/?#:].*$", "").re_replace(r"^www\.", "").re_replace(r"\.+$", "")
    is_domain = bare.re_search(r"^[^ @.]+(\.[^ @.]+)+$") & bare.notin(FREE_MAIL)
    return ibis.ifelse(is_domain, bare, ibis.null("string"))


def with_letters(domains: ir.Table, column: str) -> ir.Table:
    """Write domains of other alphabets with their letters: ``xn--mnchen-3ya.de`` is ``münchen.de``.

    They are few, so they are looked at here and not in the engine.
    """
    values = domains.filter(domains[column].contains("xn--")).select(v=column).distinct()
    written = {str(each): _decoded(str(each)) for each in values.execute()["v"]}
    written = {coded: letters for coded, letters in written.items() if letters != coded}
    if not written:
        return domains
    value = domains[column].cases(*written.items(), else_=domains[column])
    return domains.mutate(**{column: value})


def _decoded(domain: str) -> str:
    try:
        return domain.encode("ascii").decode("idna").lower()
    except UnicodeError:
        return domain
