"""Who may ask what: every role on every path, by token and by certificate, against real clients."""

from __future__ import annotations

import asyncio
import json
import subprocess
from hashlib import blake2b
from typing import TYPE_CHECKING

import aiohttp
import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from streams.cli.main import mesura
from streams.web import reread
from streams.web.access import AccessRefused, read_credentials
from streams.web.settings import EndpointRefused, EndpointSettings
from tests.connection.authority import Authority
from tests.contracts.schema_files import SCHEMAS
from tests.web.served import CUSTOMER, INTENT, KEY, TOKENS, Served, access_directory, document, served

if TYPE_CHECKING:
    from pathlib import Path

OPENAPI = yaml.safe_load((SCHEMAS / "operations.openapi.yaml").read_text())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def ask(
    port: int, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    method = "GET" if body is None else "POST"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{port}{path}", data=body, headers=headers or {}) as answer,
    ):
        assert answer.headers["Server"] == "mesura"
        return answer.status, await answer.read()


def as_described(body: bytes, schema: str) -> dict[str, object]:
    """The document, which is what the OpenAPI document says."""
    found = document(body)
    Draft202012Validator({**OPENAPI["components"]["schemas"][schema], "components": OPENAPI["components"]}).validate(
        found
    )
    return found


MAY = {
    ("/metrics", "metrics"), ("/metrics", "operator"), ("/explain", "support"), ("/explain", "compliance"),
}  # fmt: skip


async def test_each_role_may_what_the_page_says_and_nothing_else(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        for path, port, body in (("/metrics", here.ops, None), ("/explain", here.explain, INTENT)):
            assert (await ask(port, path, body))[0] == 401
            assert (await ask(port, path, body, bearer("w" * 40)))[0] == 401
            assert (await ask(port, path, body, {"Authorization": "Basic " + TOKENS["metrics"]}))[0] == 401
            for role, token in TOKENS.items():
                status, answer = await ask(port, path, body, bearer(token))
                assert status == (200 if (path, role) in MAY else 403), (path, role)
                if status == 403:
                    assert set(document(answer)) == {"error"}
        for path in ("/", "/live", "/ready"):
            assert (await ask(here.ops, path))[0] == 200
        # What the one port answers, the other does not.
        assert (await ask(here.ops, "/explain", INTENT, bearer(TOKENS["compliance"])))[0] == 404
        assert (await ask(here.explain, "/metrics", None, bearer(TOKENS["metrics"])))[0] == 404


async def test_metrics_open_by_choice(tmp_path: Path) -> None:
    async with served(tmp_path, open_metrics=True) as here:
        assert (await ask(here.ops, "/metrics"))[0] == 200
        assert (await ask(here.explain, "/explain", INTENT))[0] == 401


async def test_support_is_shown_the_decision_and_what_stands_against_it(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        status, whole = await ask(here.explain, "/explain", INTENT, bearer(TOKENS["compliance"]))
        assert status == 200
        explanation = as_described(whole, "Explanation")
        status, body = await ask(here.explain, "/explain", INTENT, bearer(TOKENS["support"]))
        assert status == 200
        told = as_described(body, "Masked")
    assert told["verdict"] == explanation["verdict"]
    assert told["reason"] == explanation["reason"]
    assert str(explanation["decision_id"]) not in body.decode()
    assert b"numbers" not in body
    assert b"America/Bogota" not in body


async def test_each_look_up_is_recorded_with_the_customer_hashed(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        for role in ("support", "compliance", "operator"):
            await ask(here.explain, "/explain", INTENT, bearer(TOKENS[role]))
        written = here.access_log.read_text()
    records = [json.loads(line) for line in written.splitlines()]
    assert [(record["who"], record["role"]) for record in records] == [
        ("support-1", "support"),
        ("compliance-1", "compliance"),
    ]
    expected = blake2b(CUSTOMER.encode(), digest_size=16, key=KEY, person=b"mesura-access").hexdigest()
    assert {record["customer_hash"] for record in records} == {expected}
    assert "planted" not in written


async def test_a_token_is_changed_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reread, "LOOK_SECONDS", 0.0)
    async with served(tmp_path) as here:
        file = here.access / "metrics.tokens"
        old, new = TOKENS["metrics"], "n" * 40
        file.write_text(f"old {old}\nnew {new}\n")
        assert [(await ask(here.ops, "/metrics", None, bearer(token)))[0] for token in (old, new)] == [200, 200]
        file.write_text("a word of no use\n")
        assert (await ask(here.ops, "/metrics", None, bearer(new)))[0] == 200
        file.write_text(f"new {new}\n")
        assert [(await ask(here.ops, "/metrics", None, bearer(token)))[0] for token in (old, new)] == [401, 200]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:9464"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "localhost"}, 200),
        ({"Host": "localhost."}, 200),
        ({"Host": "10.1.2.3:9464"}, 200),
        ({"Host": "[::1]:9464"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_pages_of_others_are_not_answered(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    async with served(tmp_path) as here:
        assert (await ask(here.ops, "/ready", None, headers))[0] == status


def tls_directory(directory: Path, authority: Authority, name: str = "gate") -> Path:
    directory.mkdir(exist_ok=True)
    issued = authority.issue(name, "127.0.0.1")
    (directory / "tls.crt").write_text(issued.certificate)
    (directory / "tls.key").touch(mode=0o600)
    (directory / "tls.key").write_text(issued.key())
    (directory / "ca.crt").write_text(authority.pem)
    return directory


def client_certificate(path: Path, authority: Authority, name: str) -> Path:
    return authority.issue(name).store(path)


def curl(*arguments: str) -> str:
    """The status that curl sees."""
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else f"curl {done.returncode}"


def subject_in(certificate: Path) -> str:
    """As openssl writes it."""
    command = ["openssl", "x509", "-in", str(certificate), "-noout", "-subject", "-nameopt", "RFC2253"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


async def test_a_certificate_has_the_role_of_its_subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reread, "LOOK_SECONDS", 0.0)
    authority, other = Authority("ours"), Authority("another")
    scraper = client_certificate(tmp_path / "scraper.pem", authority, "scraper, north")
    stranger = client_certificate(tmp_path / "stranger.pem", authority, "stranger")
    forged = client_certificate(tmp_path / "forged.pem", other, "scraper, north")
    (tmp_path / "ca.crt").write_text(authority.pem)
    tls = tls_directory(tmp_path / "tls", authority)
    async with served(tmp_path, tls=tls) as here:
        subject = await asyncio.to_thread(subject_in, scraper)
        (here.access / "metrics.subjects").write_text(subject)

        async def status(*more: str, ca: Path = tmp_path / "ca.crt") -> str:
            return await asyncio.to_thread(curl, "--cacert", str(ca), *more, f"https://127.0.0.1:{here.ops}/metrics")

        assert await status() == "401"
        assert await status("--cert", str(scraper)) == "200"
        assert await status("--cert", str(stranger)) == "401"
        assert (await status("--cert", str(forged))).startswith("curl ")
        assert await status("--cert", str(scraper), "-H", "Authorization: Bearer " + "x" * 40) == "401"
        assert await status("-H", "Authorization: Bearer " + TOKENS["metrics"]) == "200"
        # Another certificate takes the place of the first, without a restart.
        tls_directory(tls, other)
        (tmp_path / "other.crt").write_text(other.pem)
        assert await status("-H", "Authorization: Bearer " + TOKENS["metrics"], ca=tmp_path / "other.crt") == "200"


async def explain_here(here: Served, *arguments: str, scheme: str = "http", **environment: str) -> Result:
    command = ["explain", "--intent", INTENT.decode(), "--gate", f"{scheme}://127.0.0.1:{here.explain}", *arguments]
    return await asyncio.to_thread(lambda: CliRunner().invoke(mesura, command, env=environment))


async def test_the_command_shows_its_token_and_says_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text(TOKENS["support"] + "\n")
    async with served(tmp_path) as here:
        without = await explain_here(here)
        assert without.exit_code == 2
        assert "needs a token. Give the file that holds it with --gate-token-file" in without.stderr
        unknown = await explain_here(here, MESURA_GATE_TOKEN="u" * 40)
        assert unknown.exit_code == 2
        assert "does not know this token" in unknown.stderr
        assert "u" * 40 not in unknown.output
        refused = await explain_here(here, MESURA_GATE_TOKEN=TOKENS["metrics"])
        assert refused.exit_code == 2
        assert "needs the role compliance or support" in refused.stderr
        masked = await explain_here(here, "--gate-token-file", str(file))
        assert masked.exit_code == 0, masked.output
        assert "Your role is shown no counts" in masked.stdout
        whole = await explain_here(here, MESURA_GATE_TOKEN=TOKENS["compliance"])
        assert "✗ " in whole.stdout or "✓ " in whole.stdout
        both = await explain_here(here, "--gate-token-file", str(file), MESURA_GATE_TOKEN="x" * 40)
        assert "Keep one." in both.stderr
        file.chmod(0o644)
        assert "chmod 640" in (await explain_here(here, "--gate-token-file", str(file))).stderr


async def test_the_command_over_tls(tmp_path: Path) -> None:
    authority = Authority("ours")
    (tmp_path / "ca.crt").write_text(authority.pem)
    async with served(tmp_path, tls=tls_directory(tmp_path / "tls", authority)) as here:
        ours = await explain_here(
            here, "--gate-authority", str(tmp_path / "ca.crt"), scheme="https", MESURA_GATE_TOKEN=TOKENS["compliance"]
        )
        assert ours.exit_code == 0, ours.output
        untrusted = await explain_here(here, scheme="https", MESURA_GATE_TOKEN=TOKENS["compliance"])
        assert untrusted.exit_code == 2
        assert "Give its authority with --gate-authority" in untrusted.stderr
        plain = await explain_here(here, MESURA_GATE_TOKEN=TOKENS["compliance"])
        assert plain.exit_code == 2
        assert "https://" in plain.stderr


# ---- what is refused at the start -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ops_host": "0.0.0.0"}, "--ops-open-metrics"),
        ({"ops_host": ""}, "--ops-open-metrics"),
        ({"ops_host": "::"}, "--ops-open-metrics"),
        ({"ops_host": "no-such-host.invalid"}, "--ops-open-metrics"),
        ({"explain_port": 0, "explain_host": "0.0.0.0"}, "nothing says who may ask about customers"),
        ({"explain_port": 0, "explain_host": "0.0.0.0", "open_metrics": True}, "nothing says who may ask"),
        ({"access": "/nowhere"}, "The access directory /nowhere cannot be read"),
        ({"tls": "/nowhere"}, "The certificate /nowhere/tls.crt cannot be read"),
        ({"explain_port": 0, "access_log": "/nowhere/log"}, "Give --access-log a file that can be written"),
    ],
)
def test_what_would_be_open_is_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(EndpointRefused) as refused:
        msgspec.convert(settings, EndpointSettings, dec_hook=lambda kind, value: kind(value)).checked()
    assert says in str(refused.value)


def test_what_is_let_through_beyond_the_loopback_address(tmp_path: Path) -> None:
    access = access_directory(tmp_path / "access")
    EndpointSettings(ops_host="0.0.0.0", open_metrics=True).checked()
    EndpointSettings(ops_host="0.0.0.0", explain_host="0.0.0.0", explain_port=0, access=access).checked()
    (access / "metrics.tokens").unlink()
    (access / "operator.tokens").unlink()
    with pytest.raises(EndpointRefused, match=r"Nobody in .* may read /metrics"):
        EndpointSettings(ops_host="0.0.0.0", access=access).checked()
    (access / "support.tokens").unlink()
    (access / "compliance.tokens").unlink()
    with pytest.raises(EndpointRefused, match="may ask about customers"):
        EndpointSettings(explain_port=0, access=access, open_metrics=True).checked()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("suport.tokens", "x" * 40, "is neither a list of tokens nor of subjects"),
        ("metrics.token", "x" * 40, "is neither a list of tokens nor of subjects"),
        ("metrics.tokens", "short", "has 5 characters; 32 to 512 are needed"),
        ("metrics.tokens", "a b c" + "x" * 40, "is no token"),
        ("metrics.tokens", "x" * 40 + "\n" + "x" * 40, "stands twice"),
        ("metrics.tokens", "ü" * 40, "is no token"),
    ],
)
def test_files_of_no_use_are_refused_without_being_quoted(tmp_path: Path, name: str, text: str, says: str) -> None:
    file = tmp_path / name
    file.touch(mode=0o600)
    file.write_text(text)
    with pytest.raises(AccessRefused) as refused:
        read_credentials(tmp_path)
    assert says in str(refused.value)
    assert text not in str(refused.value)


def test_tokens_that_others_may_read_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "metrics.tokens"
    file.write_text("x" * 40)
    file.chmod(0o644)
    with pytest.raises(AccessRefused, match="chmod 640"):
        read_credentials(tmp_path)


def test_run_refuses_in_a_sentence(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("mesura: 1\n")
    result = CliRunner().invoke(
        mesura,
        ["run", "--bootstrap", "x:1", "--policy", str(policy), "--ops-host", "0.0.0.0"],
        env={"MESURA_ERASURE_KEY": "ab" * 32, "MESURA_ERASURE_KEY_FILE": None},
    )
    assert result.exit_code == 2
    assert "is not the loopback address, and nothing says who may read /metrics" in result.stderr
