"""`run`, `wait`, `logs`, `ls` and control, by the installed program against our own server."""

import asyncio
import json
import signal
import subprocess

import pytest

from cli.statuses import ExitStatus
from tests.cli.program import TIMEOUT, Program, Result
from tests.cli.unread import said
from worker.client import Client
from worker.state import JobState


async def test_the_code_of_the_job_is_ours(connected: Program) -> None:
    codes = [0, 1, 2, 42, 124, 125, 126, 127, 128, 137, 255]
    ran = await connected.at_once(*(["run", "--", "sh", "-c", f"exit {code}"] for code in codes))
    assert ran == [Result(code, b"", b"") for code in codes]


async def test_a_signal_is_128_and_its_number_for_run_and_wait(connected: Program) -> None:
    names = ["TERM", "KILL", "SEGV", "HUP", "USR1"]
    numbers = [128 + signal.Signals[f"SIG{name}"] for name in names]
    scripts = [f"ulimit -c 0; kill -{name} $$" for name in names]
    ran = await connected.at_once(*(["run", "--json", "--", "sh", "-c", it] for it in scripts))
    jobs = [json.loads(each.stdout) for each in ran]
    assert [job["signal"] for job in jobs] == [f"SIG{name}" for name in names]
    waited = await connected.at_once(*(["wait", job["jobID"]] for job in jobs))
    for found in (
        [job["exitCode"] for job in jobs],
        [each.status for each in ran],
        [each.status for each in waited],
    ):
        assert found == numbers


async def test_a_failure_of_ours_is_125_with_a_sentence(connected: Program) -> None:
    options = (["--", "/no/such"], ["--bogus", "--", "ls"], ["--memory", "x", "--", "ls"])
    for failed in await connected.at_once(*(["run", *each] for each in options)):
        assert failed.status == ExitStatus.OURS
        assert failed.said


def test_stdout_and_stderr_are_byte_exact(connected: Program) -> None:
    script = "import os; os.write(1, bytes(range(256))); os.write(2, b'first\\nlast\\xff')"
    ran = connected.run("run", "--", "python3", "-c", script)
    assert (ran.status, ran.stdout, ran.stderr) == (0, bytes(range(256)), b"first\nlast\xff")


def test_stdin_is_left_alone_unless_it_is_asked_for(connected: Program) -> None:
    with connected.popen("run", "--", "cat", stdin=subprocess.PIPE) as process:
        stdout, _ = process.communicate(b"mine\n", timeout=TIMEOUT)
    assert (process.returncode, stdout) == (0, b"")


def test_stdin_goes_through_to_its_end(connected: Program) -> None:
    data = b"line\n" * 100_000
    with connected.popen("run", "--stdin", "--", "cat", stdin=subprocess.PIPE) as process:
        stdout, stderr = process.communicate(data, timeout=TIMEOUT)
    assert (process.returncode, stdout == data, stderr) == (0, True, b"")


def test_a_file_is_stdin(connected: Program) -> None:
    (connected.folder / "words").write_text("a\nb\n")
    with (
        (connected.folder / "words").open() as words,
        connected.popen("run", "--stdin", "--", "wc", "-l", stdin=words) as process,
    ):
        stdout, _ = process.communicate(timeout=TIMEOUT)
    assert stdout.strip() == b"2"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_what_ends_us_ends_the_job(
    connected: Program, client: Client, how: signal.Signals
) -> None:
    script = "echo ready; exec sleep 98754"
    with connected.popen("run", "--show-id", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
        process.send_signal(how)
        _, stderr = await asyncio.to_thread(process.communicate, timeout=TIMEOUT)
    assert process.returncode == 143
    job = await client.find(stderr.decode().splitlines()[0].split()[-1])
    assert (await job.status()).state is JobState.STOPPED


@pytest.mark.usefixtures("hears_each")
async def test_a_second_ctrl_c_kills(connected: Program) -> None:
    script = 'trap "" TERM; echo ready; exec sleep 98758'
    with connected.popen("run", "--grace", "1h", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
        process.send_signal(signal.SIGINT)
        await said(process, "once more kills it")
        process.send_signal(signal.SIGINT)
        await asyncio.to_thread(process.communicate, timeout=TIMEOUT)
    assert process.returncode == 137


async def test_a_reader_that_goes_away_stops_the_job(connected: Program, client: Client) -> None:
    with connected.popen("run", "--", "yes") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        await asyncio.to_thread(process.stdout.read, 10)
        process.stdout.close()
        assert await asyncio.to_thread(process.wait, TIMEOUT) == ExitStatus.READER_GONE
        (line,) = process.stderr.read().decode().splitlines()
    assert line.endswith("nobody reads its output any more")
    job = await client.find(line.split("stopping job ")[1].split(":")[0])
    assert (await job.wait()).exit_code == 143


def test_detach_prints_the_id(connected: Program) -> None:
    job = connected.run("run", "--detach", "--", "true").stdout.decode().strip()
    assert connected.run("wait", "-j", job.replace("-", "")[:14]).status == 0


async def test_wait_in_time_and_of_the_first(connected: Program, client: Client) -> None:
    long = await client.start("sleep", "98733")
    short = await client.start("sh", "-c", "exit 4")
    first, late = await connected.at_once(
        ["wait", "--any", str(long.id), str(short.id)],
        ["wait", "--timeout", "0", str(long.id)],
    )
    assert first.status == 4
    assert (late.status, "hasn't ended" in late.said) == (ExitStatus.TIME_IS_UP, True)
    await long.stop(grace_period=0)
    assert (await connected.aside("wait", str(long.id), str(short.id))).status == 137


async def test_wait_for_any_names_all_when_the_time_is_up(
    connected: Program, client: Client
) -> None:
    jobs = [await client.start("sleep", "98735") for _ in range(2)]
    ids = [str(job.id) for job in jobs]
    late = await connected.aside("wait", "--any", "--timeout", "0.2", *ids)
    assert late.status == ExitStatus.TIME_IS_UP
    told = late.stderr.decode().splitlines()
    assert all(f"job {job} hasn't ended" in line for job, line in zip(ids, told, strict=True))
    for job in jobs:
        await job.stop(grace_period=0)


async def test_signals_reach_the_job_and_pause_is_shown(connected: Program, client: Client) -> None:
    script = 'trap "echo hup; exit 3" HUP; echo ready; while :; do sleep 0.1; done'
    job = await client.start("sh", "-c", script)
    with connected.popen("logs", str(job.id)) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
        assert (await connected.aside("pause", str(job.id))).status == 0
        assert (await job.status()).paused
        assert (await connected.aside("resume", str(job.id))).status == 0
        assert (await connected.aside("signal", "HUP", "-j", str(job.id))).status == 0
        assert await asyncio.to_thread(process.stdout.read) == b"hup\n"
    assert (await job.wait()).exit_code == 3
    assert (await connected.aside("signal", "HUP", str(job.id))).status == ExitStatus.REFUSED


async def test_one_stamp_a_line_and_each_line_is_json(connected: Program, client: Client) -> None:
    script = 'import json\nfor n in range(20): print(json.dumps({"n": "x" * 90000}))'
    job = str((await client.start("python3", "-c", script)).id)
    plain, stamped, as_json = await connected.at_once(
        ["logs", job], ["logs", "--timestamps", job], ["logs", "--json", job]
    )
    lines = stamped.stdout.splitlines(keepends=True)
    assert b"".join(line.split(b" ", 1)[1] for line in lines) == plain.stdout
    texts = [json.loads(line)["text"] for line in as_json.stdout.splitlines()]
    assert len([json.loads(text) for text in texts]) == 20


async def test_control_characters_are_safe_in_json_and_raw_in_output(
    connected: Program, client: Client
) -> None:
    job = str((await client.start("printf", r"\033]0;t\007\001\000\v\f\r\n\377red")).id)
    told, shown = await connected.at_once(["logs", "--json", job], ["logs", job])
    assert told.stdout.isascii()
    texts = [json.loads(line)["text"] for line in told.stdout.splitlines()]
    raw = "".join(texts).encode(errors="surrogateescape")
    assert raw == shown.stdout == b"\x1b]0;t\x07\x01\0\v\f\r\n\xffred"


async def test_several_jobs_bear_their_names(connected: Program, client: Client) -> None:
    words = ("one", "two")
    jobs = [str((await client.start("echo", word)).id) for word in words]
    shown = await connected.aside("logs", *jobs)
    assert sorted(shown.stdout.decode().splitlines()) == sorted(
        f"{job[:8]} {word}" for job, word in zip(jobs, words, strict=True)
    )


async def test_the_tail_of_nothing_is_nothing(connected: Program, client: Client) -> None:
    job = str((await client.start("true")).id)
    counts = ("0", "5", "1000000000")
    shown = await connected.at_once(*(["logs", "--tail", each, job] for each in counts))
    assert shown == [Result(0, b"", b"")] * len(counts)


async def test_the_tail_and_one_stream(connected: Program, client: Client) -> None:
    started = await client.start("sh", "-c", "seq 1 9; echo err >&2")
    await started.wait()
    job = str(started.id)
    *tails, err = await connected.at_once(
        ["logs", "--stdout", "--tail", "2", job],
        ["logs", "--stdout", "-n", "2", job],
        ["logs", "--stderr", job],
    )
    assert [each.stdout for each in tails] == [b"8\n9\n"] * 2
    assert err.stderr == b"err\n"


async def test_ls_finds_by_label_and_shows_no_escape(connected: Program, client: Client) -> None:
    started = await client.start("printf", "\033[2J", labels={"team": "ls"})
    await started.wait()
    shown, told = await connected.at_once(
        ["ls", "--label", "team=ls"],
        ["ls", "--json", "--all", "--label", "team=ls"],
    )
    job, text = str(started.id), shown.stdout.decode()
    assert job[:13] in text
    assert all(line.isprintable() for line in text.splitlines())
    found = json.loads(told.stdout)
    assert (found["jobID"], found["state"], found["exitCode"]) == (job, "exited", 0)


async def test_ls_shows_as_many_as_it_promises_however_short_a_page_is(
    connected: Program, client: Client
) -> None:
    large = "x" * 120_000  # five of them fill a page of the server's
    jobs = [await client.start("true", large, large, labels={"team": "large"}) for _ in range(6)]
    for job in jobs:
        await job.wait()
    listed = await connected.aside("ls", "--json", "--label", "team=large")
    found = {json.loads(line)["jobID"] for line in listed.stdout.splitlines()}
    assert found == {str(job.id) for job in jobs}


def test_options_reach_the_job(connected: Program) -> None:
    (connected.folder / "env").write_text("# of a file\nA=file\nB= kept \n\n")
    options = ["--env-file", "env", "--env", "A=1", "--cwd", "/", "--timeout", "1h", "--nice", "5"]
    ran = connected.run("run", *options, "--", "sh", "-c", 'echo "$A|$B|$PWD|$(nice)"')
    assert (ran.stdout, ran.stderr) == (b"1| kept |/|5\n", b"")
