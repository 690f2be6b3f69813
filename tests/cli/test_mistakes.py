"""Whatever a person does wrong is told in one sentence that says what to do, and by a status."""

import inspect
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from certs.authority import Pair, new_authority
from certs.folder import load_pair, write_pair
from certs.issue import client_certificate, server_certificate
from cli.statuses import ExitStatus
from tests.cli.desk import Desk, in_order
from tests.cli.program import Program
from tests.client.strangers import Closes, Silent, TalksHttp
from tests.e2e.service import Service
from worker.rpc.role import Role

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
JOB = "0b5f7cf2-5b0c-4ef0-a4ef-f2c0ae3b5c0c"
ENDED = "the id of a job that has ended"
SCRIPT = "the path of a script"
QUERY = ["query", "-j", JOB]
Spoil = Callable[[Desk], object]


def nothing(_: Desk) -> None:
    pass


def mistake(
    rule: str,
    arguments: Sequence[str | bytes],
    status: ExitStatus,
    *words: str,
    after: Spoil = nothing,
    redirected: str = "",
) -> object:
    return pytest.param(after, redirected, arguments, status, words, id=rule)


def wrong(rule: str, arguments: Sequence[str | bytes], *words: str) -> object:
    return mistake(rule, arguments, ExitStatus.SETUP, *words)


COMMAND_LINE = [
    wrong("no verb", [], "Missing command", "workerclient --help"),
    wrong("unknown verb", ["bogus"], "No such command 'bogus'", "workerclient --help"),
    wrong("control characters are shown escaped", ["\x1b[2J"], r"\x1b[2J"),
    wrong("unknown option", ["query", "--bogus"], "--bogus", "(see workerclient query --help)"),
    wrong("no job", ["query"], "no job: name it by its id"),
    wrong("a job id of other letters", ["query", "-j", "12g"], "'12g' is no job id: 32 hex"),
    wrong("a job id that is too long", ["query", "-j", f"{JOB}0"], "is no job id: 32 hex"),
    wrong("a dash that is misplaced", ["query", "-j", "0b5f7cf25-b0c"], "is no job id: 32 hex"),
    wrong("a size in words", ["start", "--memory", "much", "--", "ls"], "'much' is no size"),
    wrong("a time in words", ["start", "--timeout", "soon", "--", "ls"], "'soon' is no time"),
    wrong("a state that isn't one", ["ls", "--state", "done"], "'done' is none of started, run"),
    wrong("a job id in braces", ["stop", "-j", f"{{{JOB}}}"], "is no job id: 32 hex"),
    wrong("a negative grace period", ["stop", "-j", JOB, "--grace-period", "-1"], "grace-period"),
    wrong("a negative offset", ["stream", "-j", JOB, "--offset", "-1"], "offset"),
    wrong("an offset in words", ["stream", "-j", JOB, "--offset", "x"], "'x' is no whole number"),
    wrong("arguments without a separator", ["start", "ls", "-la"], "put the job's arguments after"),
    wrong("an option behind the command", ["start", "ls", "--merged"], "before the command"),
    wrong("no command", ["start"], "COMMAND -args ARGUMENT... (see worker"),
    wrong("an empty command", ["start", ""], "the command is empty: name a program"),
    wrong("a relative directory", ["start", "--cwd", "x", "--", "ls"], "--cwd must be absolute"),
    wrong(
        "a variable without a name",
        ["start", "--env", "=x", "--", "ls"],
        "'' can't be a variable's",
    ),
    wrong("no time", ["start", "--timeout", "0", "--", "ls"], "--timeout must be more than 0"),
    wrong("too long a grace", ["stop", "--grace", "2d", JOB], "--grace must be 0 to 86400"),
    wrong("two places", ["logs", "--tail", "2", "--offset", "4", JOB], "--offset and --tail: only"),
    wrong("too long a tail", ["logs", "--tail", "9" * 20, JOB], "--tail must be 0 to 18446"),
    wrong("-j without an id", ["logs", "-j"], "'-j' requires", "(see workerclient logs --help)"),
    wrong(
        "a variable of two words", ["start", "--env", "A B=c", "--", "ls"], "'A B' can't be a va"
    ),
    wrong("a label without a name", ["start", "--label", "=b", "--", "ls"], "'=b' has no NAME bef"),
    wrong("a label to list by without a name", ["ls", "--label", "=b"], "'=b' has no NAME before"),
    wrong(
        "an empty user", ["start", "--user", "", "--", "ls"], "'--user': it is empty: give a value"
    ),
    wrong("an empty signal", ["start", "--stop-signal", "", "--", "ls"], "'--stop-signal': it is"),
    wrong(
        "an empty name of a file", ["start", "--env-file", "", "--", "ls"], "'--env-file': it is"
    ),
    wrong("an empty owner", ["ls", "--owner", ""], "'--owner': it is empty"),
    wrong("a tail in words", ["logs", "--tail", "x", JOB], "'--tail' / '-n': 'x' is no whole numb"),
    wrong("a negative tail", ["logs", "--tail", "-3", JOB], "--tail must be 0 to"),
    wrong("processors in words", ["start", "--cpus", "two", "--", "ls"], "'two' is no number"),
    wrong("no signal", ["signal", JOB], "the signal or the job is missing: workerclient signal"),
    wrong(
        "a device for variables",
        ["start", "--env-file", "/dev/zero", "--", "ls"],
        "--env-file /dev/zero: more than 1048576 bytes long",
    ),
    wrong(
        "a device for a configuration", ["--config", "/dev/zero", *QUERY], "/dev/zero: more than"
    ),
    wrong("a variable without a value", ["start", "--env", "A", "--", "ls"], "not NAME=VALUE"),
]


def misconfigured(rule: str, after: Spoil, *words: str) -> object:
    return mistake(rule, [*QUERY], ExitStatus.SETUP, *words, after=after)


def written(text: str) -> Spoil:
    return lambda desk: desk.configuration.write_text(text)


def addressed(address: str) -> Spoil:
    return lambda desk: desk.set("serverAddress", f'"{address}"')


def make_loop(desk: Desk) -> None:
    desk.configuration.unlink()
    desk.configuration.symlink_to(desk.configuration)


CONFIGURATION = [
    misconfigured(
        "no configuration",
        lambda desk: desk.configuration.unlink(),
        "neither workerclient.yaml here nor ",
        "name it with --config FILE",
    ),
    wrong("a configuration that isn't there", ["--config", "x.yaml", *QUERY], "x.yaml: No such"),
    wrong("a folder for a configuration", ["--config", ".", *QUERY], "Is a directory: name the"),
    wrong(
        "an empty name for a configuration",
        ["--config", "", *QUERY],
        "WORKERCLIENT_CONFIG'): it is empty",
    ),
    misconfigured("an unreadable configuration", make_loop, "workerclient.yaml: Too many"),
    misconfigured("no YAML", written("{serverCA"), "workerclient.yaml: not YAML", "line 1"),
    misconfigured("no text", lambda desk: desk.configuration.write_bytes(b"\xff"), "not YAML"),
    misconfigured("an empty configuration", written(""), "must hold the keys serverAddress, "),
    misconfigured("a list", written("- serverCA"), "must hold the keys serverAddress, "),
    misconfigured(
        "an unknown key",
        lambda desk: desk.set("serverAdress", "x"),
        "unknown key 'serverAdress'; the keys are serverAddress, ",
    ),
    misconfigured(
        "a missing key",
        lambda desk: desk.configuration.write_text("serverAddress: localhost:1\n"),
        "the key serverCA is missing",
    ),
    misconfigured(
        "a key given twice",
        lambda desk: desk.add("serverCA: x"),
        "serverCA is given twice",
    ),
    misconfigured(
        "a number for a file", lambda desk: desk.set("serverCA", "5"), "serverCA must be a text"
    ),
    *(
        misconfigured(
            f"the address {address}",
            addressed(address),
            f"serverAddress: '{address}' is not HOST:PORT (localhost:5000, or [::1]:5000",
        )
        for address in ("localhost", "https://localhost:5000", "localhost:70000", "::1:5000")
    ),
]


def encrypt_key(desk: Desk) -> None:
    secret = BestAvailableEncryption(b"secret")
    key = load_pair(desk.folder, "full").key
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)
    (desk.folder / "full.key").write_bytes(encrypted)


def issued(since: timedelta) -> Spoil:
    """A client's certificate, for two days."""
    return lambda desk: desk.issue(
        lambda ca: client_certificate(ca, "ada", Role.FULL, now=NOW + since, days=2)
    )


def for_server(authority: Pair, *names: str, since: timedelta = timedelta()) -> Pair:
    return server_certificate(authority, names or ["localhost"], [], now=NOW + since, days=2)


def of_another_authority(desk: Desk) -> None:
    another = new_authority(NOW, name="another")
    desk.issue(lambda _: client_certificate(another, "ada", Role.FULL, now=NOW))


CERTIFICATES = [
    misconfigured(
        "a certificate that isn't there",
        lambda desk: desk.set("clientCertificate", "x.pem"),
        "x.pem: No such file or directory: correct the path in the configuration",
    ),
    misconfigured(
        "a key that isn't there",
        lambda desk: desk.set("clientKey", "x.key"),
        "x.key: No such file or directory: correct the path in the configuration",
    ),
    misconfigured(
        "an authority that isn't there",
        lambda desk: desk.set("serverCA", "x.pem"),
        "x.pem: No such file or directory: correct the path in the configuration",
    ),
    misconfigured(
        "a folder for a key", lambda desk: desk.set("clientKey", "."), "is not a file: correct"
    ),
    misconfigured(
        "a key for a certificate",
        lambda desk: desk.set("clientCertificate", "full.key"),
        "full.key: no PEM certificate",
    ),
    misconfigured(
        "a key that others can read",
        lambda desk: (desk.folder / "full.key").chmod(0o644),
        "others can get at this key (mode 0644): chmod 600 ",
    ),
    misconfigured("an encrypted key", encrypt_key, "is encrypted", "decrypt it with `openssl pkey"),
    misconfigured(
        "the key of another certificate",
        lambda desk: desk.set("clientKey", "readonly.key"),
        "readonly.key is not the key of the first certificate in ",
        "issued together",
    ),
    misconfigured(
        "an expired certificate",
        issued(-9 * DAY),
        "(CN=ada) expired at ",
        f"{NOW - 7 * DAY:%Y-%m-%d}",
        "have a new one issued",
    ),
    misconfigured(
        "a certificate that isn't valid yet",
        issued(DAY),
        "(CN=ada) is valid from ",
        "set the clock",
    ),
    misconfigured(
        "a server's certificate",
        lambda desk: desk.issue(for_server),
        "not for a client by its usage: have one issued for a client",
    ),
    mistake(
        "a certificate of another authority",
        [*QUERY],
        ExitStatus.NOT_ALLOWED,
        "(CN=ada, issued by CN=another)",
        "doesn't know that authority: have one issued by the authority in clientCA",
        after=of_another_authority,
    ),
]


def at_free_port(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        desk.set("serverAddress", f"127.0.0.1:{server.getsockname()[1]}")


def trust_another(desk: Desk) -> None:
    write_pair(desk.folder, "another", new_authority(NOW, name="another"))
    desk.set("serverCA", "another.pem")


SERVERS = [
    mistake(
        "no server",
        [*QUERY],
        ExitStatus.UNAVAILABLE,
        "refused the connection: is workerserver running there?",
        after=at_free_port,
    ),
    mistake(
        "a server that goes away",
        [*QUERY],
        ExitStatus.UNAVAILABLE,
        "closed the connection before it said anything",
        "its log says why",
        after=lambda desk: desk.serve(Closes),
    ),
    misconfigured(
        "a name that can't be one",
        lambda desk: desk.set("serverAddress", "a..b:5000"),
        "a..b:5000 can't be the name of a host: correct serverAddress",
    ),
    misconfigured(
        "a server that speaks no TLS",
        lambda desk: desk.serve(TalksHttp),
        "is it a workerserver? check serverAddress",
    ),
    misconfigured(
        "a server for another name",
        lambda desk: desk.serve(Silent, lambda ca: for_server(ca, "a.example")),
        "certificate is for a.example, you asked for 127.0.0.1: correct serverAddress",
    ),
    misconfigured(
        "a server of another authority",
        trust_another,
        "issued by CN=",
        "another.pem doesn't vouch for: correct serverCA or serverAddress",
    ),
    misconfigured(
        "a server whose certificate has expired",
        lambda desk: desk.serve(Silent, lambda ca: for_server(ca, since=-9 * DAY), "localhost"),
        "(CN=job-worker server) expired at ",
        f"{NOW - 7 * DAY:%Y-%m-%d}",
        "have it renewed",
    ),
    misconfigured(
        "a server whose certificate isn't valid yet",
        lambda desk: desk.serve(Silent, lambda ca: for_server(ca, since=DAY), "localhost"),
        "isn't valid yet",
        "compare the clocks",
    ),
]


def refused(
    rule: str, arguments: Sequence[str | bytes], *words: str, after: Spoil = nothing
) -> object:
    return mistake(rule, ["start", *arguments], ExitStatus.REFUSED, *words, after=after)


def script(text: str, mode: int) -> Spoil:
    def put(desk: Desk) -> None:
        path = Path(desk.named[SCRIPT])
        path.write_text(text)
        path.chmod(mode)

    return put


JOBS = [
    *(
        mistake(
            f"{verb} of an unknown job",
            [verb, "-j", JOB],
            ExitStatus.NOT_FOUND,
            f"no job has the id {JOB}",
        )
        for verb in ("query", "stream", "stop", "rm")
    ),
    *(
        mistake(
            f"{arguments[0]} with a certificate for reading",
            arguments,
            ExitStatus.NOT_ALLOWED,
            "full",
            after=lambda desk: desk.be("readonly"),
        )
        for arguments in (["start", "--", "ls"], ["stop", "-j", JOB], ["rm", "-j", JOB])
    ),
    *(
        mistake(
            f"{arguments[0]} with a certificate without a role",
            arguments,
            ExitStatus.NOT_ALLOWED,
            "no role",
            after=lambda desk: desk.be("norole"),
        )
        for arguments in (["start", "--", "ls"], [*QUERY], ["ls"])
    ),
    refused("a command that isn't there", ["--", "/no/such"], "/no/such: not found"),
    refused("a command that isn't in PATH", ["--", "no-such-tool"], "no-such-tool", "PATH"),
    refused("a directory for a command", ["--", "/etc"], "/etc", "directory"),
    refused("no signal", ["--stop-signal", "FOO", "--", "ls"], "--stop-signal: 'FOO' is no signal"),
    refused("a directory that isn't there", ["--directory", "/no", "--", "ls"], "/no"),
    refused("an argument that isn't UTF-8", ["--", "ls", b"\xff"], "isn't UTF-8", "can carry"),
    refused("a command that isn't UTF-8", ["--", b"\xff"], "isn't UTF-8", "can carry"),
    refused("a variable that isn't UTF-8", ["--env", b"A=\xff", "--", "ls"], "A: '", "isn't UTF-8"),
    refused(
        "arguments that are too long together",
        ["--", "ls", *["x" * 100_000] * 3],
        "; 262144 is the most: put long arguments into a file",
    ),
    refused(
        "an interpreter that isn't there",
        ["--", SCRIPT],
        "/no/interpreter",
        after=script("#!/no/interpreter\n", 0o755),
    ),
    refused(
        "a command that may not be executed",
        ["--", SCRIPT],
        "script",
        "not executable",
        after=script("#!/bin/sh\n", 0o644),
    ),
    mistake(
        "an offset beyond the end",
        ["stream", "--offset", "999", "-j", ENDED],
        ExitStatus.REFUSED,
        "999 is beyond the output, which has 4 bytes",
    ),
]

OUTPUT = [
    mistake(
        f"{arguments[0]} with stdout {state}",
        arguments,
        ExitStatus.CANNOT_WRITE,
        f"can't write to stdout: {why}",
        redirected=redirected,
    )
    for redirected, state, why in (
        (">/dev/full", "on a full disk", "No space left on device"),
        (">&-", "closed", "Bad file descriptor"),
    )
    for arguments in (["--help"], ["query", "-j", ENDED], ["stream", "-j", ENDED])
]


@pytest.fixture(scope="session")
def ended(tmp_path_factory: pytest.TempPathFactory, service: Service) -> str:
    """A job that has printed four bytes."""
    folder = tmp_path_factory.mktemp("ended")
    in_order(folder, service, {})
    program = Program(folder)
    job = program.run("start", "--", "echo", "out").stdout.decode().strip()
    assert program.run("stream", "-j", job).stdout == b"out\n"
    return job


@pytest.fixture
async def desk(tmp_path: Path, service: Service, ended: str) -> AsyncIterator[Desk]:
    made = in_order(tmp_path, service, {ENDED: ended, SCRIPT: f"{tmp_path}/script"})
    async with made.servers:
        yield made


@pytest.mark.parametrize(
    ("after", "redirected", "arguments", "status", "words"),
    [*COMMAND_LINE, *CONFIGURATION, *CERTIFICATES, *SERVERS, *JOBS, *OUTPUT],
)
async def test_a_mistake_is_told(
    desk: Desk,
    after: Spoil,
    redirected: str,
    arguments: Sequence[str | bytes],
    status: ExitStatus,
    words: tuple[str, ...],
) -> None:
    spoilt = after(desk)
    if inspect.isawaitable(spoilt):
        await spoilt
    program = Program(desk.folder, redirected=redirected)
    result = await program.aside(*map(desk.known, arguments))
    assert (result.status, result.stdout) == (status, b""), result
    for word in words:
        assert word in result.said
