"""Digests: what they tell, in every form, and that each is sent once whatever happens."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from features.errors import DataError, SettingsError, StoreError
from pipelines.cli import main
from pipelines.dashboard.snapshot.changes import compared
from pipelines.portfolio.outbox.book import opened_book, owners_of, reader_of
from pipelines.portfolio.outbox.digest import digest_of
from pipelines.portfolio.outbox.forms import digest_html, digest_mail, digest_message, digest_text
from pipelines.portfolio.outbox.handing import hand_out
from pipelines.portfolio.outbox.ledger import opened_ledger
from pipelines.project.project import load_project
from pipelines.project.records.calls import call_book, call_entry
from pipelines.reports.wording import percent
from pipelines.store.runs import now
from tests.pipelines.dashboard.served import HOSTILE, OWNERS, company, issue_scores
from tests.pipelines.portfolio.outbox.mail_server import mail_server
from tests.pipelines.reports.page import Page

BEFORE = date(2024, 12, 1)
ANN, BOB = OWNERS[0], OWNERS[1]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = company(tmp_path_factory.mktemp("digest") / "company")
    issue_scores(made, 200, seed=5, day=BEFORE)
    issue_scores(made, 190)
    return made


@pytest.fixture(scope="module")
def digests(project):
    """By owner; None for all accounts."""
    with opened_book(project) as book:
        named = [None, *owners_of(project, book)]
        yield {one: digest_of(project, book, reader_of(project, book, one), one) for one in named}


@pytest.fixture(scope="module")
def changes(project):
    with opened_book(project) as book:
        yield {
            one: compared(book, reader_of(project, book, one))
            for one in (None, *owners_of(project, book))
        }


@pytest.fixture
def server():
    with mail_server() as running:
        yield running


def sending(project, tmp_path, server, **more):
    """The same company, with somebody to write to and a ledger of its own."""
    digest = {
        "smtp_host": "127.0.0.1",
        "smtp_port": server.port,
        "smtp_security": "none",
        "sender": "health@example.com",
        "timeout_seconds": 0.5,
        "ledger": str(tmp_path / "digests.jsonl"),
        "to": {ANN: "ann@example.com", BOB: "bob@example.com"},
        **more,
    }
    settings = project.settings.digest.model_validate(digest)
    told = project.settings.model_copy(update={"digest": settings})
    return replace(project, settings=told)


def send(project, owner=ANN, **options):
    given = {"all_owners": False, "out": None, "send": True, "again": False} | options
    return hand_out(project, owner=owner, **given)


def test_a_digest_tells_what_the_first_screen_tells(digests, changes) -> None:
    assert set(digests) == {None, *filter(None, OWNERS)}
    for owner, digest in digests.items():
        told, parts = changes[owner], {part.title: part for part in digest.parts}
        assert digest.since == told.sentence("Expected loss")
        entered = parts["New in at-risk"]
        assert len(entered.items) + entered.left_out == told.entered.accounts
        assert digest.headline.startswith(f"{told.whole.accounts} accounts, ARR ")
        listed = [item.account_id for item in entered.items]
        movers = [mover.row["account_id"] for mover in told.movers_in]
        assert set(movers) & set(listed)
        worse = parts["Worse"]
        assert not set(listed) & {item.account_id for item in worse.items}
        for item in worse.items:
            points = float(item.about.partition("(−")[2].partition(")")[0])
            assert points >= 5


def test_an_owner_hears_of_their_accounts_alone(project, digests) -> None:
    with opened_book(project) as book:
        owner = {
            row["account_id"]: row["owner"]
            for row in book.ask("select account_id, owner from accounts")
        }
    told = [item.account_id for part in digests[ANN].parts for item in part.items]
    told += [call.account_id for call in digests[ANN].calls]
    assert told
    assert {owner[account] for account in told} == {ANN}


def test_what_was_done_about_a_call_stands_beside_it(project, digests, tmp_path) -> None:
    shutil.copytree(project.folder, tmp_path / "company")
    copied = load_project(tmp_path / "company" / project.path.name)
    first, second = digests[None].calls[:2]
    moment = now()
    entry = call_entry(first.account_id, "called", by="b<e>n", moment=moment, result="reached")
    other = call_entry(second.account_id, "open", by="ben", moment=moment)
    call_book(copied.folder).record([entry, other])
    with opened_book(copied) as book:
        digest = digest_of(copied, book, reader_of(copied, book, None), None)
    said = f"called {moment:%Y-%m-%d} by b<e>n: reached"
    assert digest.done == {first.account_id: said}
    assert f"({said})" in digest_text(digest)
    assert said.replace("<", "&lt;").replace(">", "&gt;") in digest_html(digest)
    assert [one["done"] for one in digest.to_dict()["calls"][:2]] == [said, None]


def test_renewals_are_those_of_the_next_sixty_days(project, digests) -> None:
    with opened_book(project) as book:
        (row,) = book.ask(
            "select count(*) as held from accounts where renewal between date '2025-01-01' and"
            " date '2025-03-02'"
        )
    part = next(part for part in digests[None].parts if part.title.startswith("Renews"))
    assert part.title == "Renews within 60 days"
    assert len(part.items) + part.left_out == row["held"] > 0
    # The chance in the outcome window says nothing of a decision before or after it.
    asked = "select probability_if_due as due from accounts where account_id = ?"
    with opened_book(project) as book:
        ((first,),) = [one.values() for one in book.ask(asked, [part.items[0].account_id])]
    due = "" if first is None else f"chance {percent(first)} at the renewal"
    assert due in part.items[0].about


def test_hostile_names_are_text_in_every_form(project) -> None:
    with opened_book(project) as book:
        digest = digest_of(project, book, reader_of(project, book, None), None)
    part = digest.parts[0]
    names = [*filter(None, HOSTILE.values()), "<!channel> <http://evil.example|x>", "@here\x1b[31m"]
    items = [replace(part.items[0], name=name, about=f"{name}\r\nBcc: x@y.z") for name in names]
    hostile = replace(
        digest,
        owner=f"{HOSTILE[3]}\r\nBcc: evil@example.com",
        since=f"<!here> {HOSTILE[3]}",
        parts=[replace(part, items=items)],
    )
    page = digest_html(hostile)
    assert "<script>" not in page
    assert "\u202e" not in page
    Page(page)
    text = digest_text(hostile)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(line.startswith("Bcc") for line in text.splitlines())
    message = digest_message(hostile)
    assert "<!" not in message["text"]
    assert message["text"].count("&lt;!here&gt;") == 1
    for block in message["blocks"]:
        # In plain text nothing is a mention or a link.
        assert block["text"]["type"] == "plain_text"
        assert 0 < len(block["text"]["text"]) <= (150 if block["type"] == "header" else 3000)
    assert len(message["blocks"]) <= 50
    json.dumps(message, allow_nan=False)
    mail = digest_mail(hostile, "a@example.com", "b@example.com", "k")
    assert mail["Bcc"] is None
    assert "\n" not in mail["Subject"]
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


def test_a_digest_is_mailed_once(project, tmp_path, server, digests) -> None:
    ready = sending(project, tmp_path, server)
    first = send(ready)
    assert [(one.way, one.became) for one in first.sent] == [("mail", "sent")]
    assert not first.failed
    (mail,) = server.mails
    assert server.recipients == ["rcpt TO:<ann@example.com>"] or "ann@" in server.recipients[0]
    assert mail["Subject"] == f"Accounts of {ANN}, 1 January 2025"
    plain, page = (part.get_content() for part in mail.iter_parts())
    assert digests[ANN].since in plain.replace("\n", " ")
    assert "<h1>" in page
    again = send(ready, again=True)
    assert [one.became for one in again.sent] == ["sent before"]
    assert len(server.mails) == 1


def test_all_owners_get_their_own_and_who_has_no_address_is_named(
    project, tmp_path, server
) -> None:
    handed = send(
        sending(project, tmp_path, server, everything_to="lead@example.com"),
        owner=None,
        all_owners=True,
    )
    assert sorted(mail["To"] for mail in server.mails) == [
        "ann@example.com",
        "bob@example.com",
        "lead@example.com",
    ]
    assert handed.warnings == [
        "No mail goes to Zoé, 1 in all: [digest.to] names no address of theirs"
    ]


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("GREETING", "did not answer within 0.5 seconds; check [digest]"),
        ("MAIL", "did not answer within 0.5 seconds; check [digest]"),
    ],
)
def test_a_server_that_hangs_before_the_mail_is_tried_again_later(
    project, tmp_path, server, place, says
) -> None:
    ready, server.hangs_at = sending(project, tmp_path, server), place
    handed = send(ready)
    assert handed.failed
    (one,) = handed.sent
    assert (one.became, one.why) == (
        "failed",
        f"the mail server '127.0.0.1' port {server.port} {says}",
    )
    server.hangs_at = ""
    assert [one.became for one in send(ready).sent] == ["sent"]
    assert len(server.mails) == 1


def test_a_server_that_hangs_after_the_mail_is_not_asked_twice(project, tmp_path, server) -> None:
    ready, server.hangs_at = sending(project, tmp_path, server), "BODY"
    (one,) = send(ready).sent
    assert one.became == "uncertain"
    assert one.why.endswith(
        "after it was given the mail, which may have arrived; look, and send it with --again"
    )
    server.hangs_at = ""
    (one,) = send(ready).sent
    assert (one.became, one.why) == (
        "uncertain",
        "an earlier run was stopped while it sent this by mail, so it may have arrived; look, and"
        " send it with --again",
    )
    assert server.mails == []
    assert [one.became for one in send(ready, again=True).sent] == ["sent"]


@pytest.mark.parametrize(
    ("what", "says"),
    [("RCPT", "refused it (550 not today)"), ("BODY", "refused it (554 too much)")],
)
def test_what_a_server_refuses_was_not_sent(project, tmp_path, server, what, says) -> None:
    ready, server.refuses = sending(project, tmp_path, server), what
    (one,) = send(ready).sent
    assert one.became == "failed"
    assert says in one.why
    server.refuses = ""
    assert [one.became for one in send(ready).sent] == ["sent"]


def test_nobody_at_the_address_is_a_sentence(project, tmp_path, server) -> None:
    ready = sending(project, tmp_path, server)
    server.close()
    (one,) = send(ready).sent
    assert one.became == "failed"
    assert "could not be reached (Connection refused)" in one.why


def test_what_was_told_is_not_told_again(tmp_path, server) -> None:
    own = company(tmp_path / "company", 40)
    issue_scores(own, 40, seed=5, day=BEFORE)
    issue_scores(own, 40)
    ready = sending(own, tmp_path, server)
    send(ready)
    issue_scores(ready, 40, day=date(2025, 1, 8))
    handed = send(ready)
    lines = [json.loads(line) for line in (tmp_path / "digests.jsonl").read_text().splitlines()]
    told = [line["told"] for line in lines if line["state"] == "sending"]
    # Nothing moved in that week, and what renews within 60 days had been told.
    assert told[0]
    assert not set(told[0]) & {key for later in told[1:] for key in later}
    renewed = [key for key in told[0] if key.startswith("renewal:")]
    assert renewed
    assert len(server.mails) == 1 + sum(one.became == "sent" for one in handed.sent)


class Hook(BaseHTTPRequestHandler):
    taken: ClassVar[list[dict]] = []
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        type(self).taken.append(json.loads(body))
        self.send_response(type(self).status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook():
    Hook.taken, Hook.status = [], 200
    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/x"
        server.shutdown()
        thread.join()


def test_a_webhook_gets_each_digest_once(project, tmp_path, server, hook) -> None:
    ready = sending(project, tmp_path, server, webhook=hook, smtp_host=None)
    Hook.status = 500
    (one,) = send(ready).sent
    assert one.became == "failed"
    assert one.why.startswith("The digest was not delivered: its webhook was tried once and")
    assert one.why.endswith("answered with status 500; check [digest]")
    Hook.status = 200
    assert [one.became for one in send(ready).sent] == ["sent"]
    assert [one.became for one in send(ready).sent] == ["sent before"]
    assert Hook.taken[-1]["blocks"][0]["text"]["text"] == f"Accounts of {ANN}, 1 January 2025"
    assert len(Hook.taken) == 2


def test_two_senders_at_once_are_one(project, tmp_path, server) -> None:
    ready = sending(project, tmp_path, server)
    with (
        opened_ledger(tmp_path / "digests.jsonl"),
        pytest.raises(StoreError, match="is held by another run that is sending"),
    ):
        send(ready)
    assert server.mails == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"all_owners": True}, "--owner names one and --all asks for each"),
        ({"send": False, "again": True}, "--again sends once more, and --send is not there"),
        ({"send": True}, "Nothing can be sent: [digest] has neither smtp_host nor webhook"),
    ],
)
def test_what_excludes_each_other_is_refused(project, options, says) -> None:
    given = {"all_owners": False, "out": None, "send": False, "again": False} | options
    with pytest.raises(SettingsError) as refused:
        hand_out(project, owner=ANN, **given)
    assert says in str(refused.value)


def test_an_unknown_owner_is_named_with_the_nearest(project) -> None:
    with pytest.raises(DataError, match="Nobody named 'Ann Le' looks after an account"):
        send(project, "Ann Le", send=False)


@pytest.mark.parametrize(
    ("digest", "says"),
    [
        ('smtp_host = "mail"', "sender is the address that mails come from"),
        ('sender = "a b@c"', "a mail address must be like ana@example.com"),
        ('to = { Ann = "x@y\\nBcc: z@z" }', "a mail address must be like ana@example.com"),
        ('smtp_user = "x"', "smtp_user and smtp_password_env belong together"),
        ('webhook = "ftp://x"', "webhook must be an address that starts with"),
    ],
)
def test_settings_that_cannot_be_are_refused(project, tmp_path, digest, says) -> None:
    path = tmp_path / "healthscore.toml"
    path.write_text(f"{project.path.read_text('utf-8')}[digest]\n{digest}\n", encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load_project(path)
    assert says in str(refused.value)


def test_the_command_writes_a_page_for_each_owner(project, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["digest", "-c", str(project.path), "--all", "--out", str(tmp_path / "out"), "--json"])
    assert not ended.value.code
    answer = json.loads(capsys.readouterr().out)
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["001-ann_lee.html", "002-bob_b_ray_b.html", "003-zo.html"]
    assert len(answer["digests"]) == 3
    assert "<b>Ray" not in (tmp_path / "out" / files[1]).read_text("utf-8")
