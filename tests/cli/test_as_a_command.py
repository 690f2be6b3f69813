"""`run`, `wait`, `logs`, `ls` and control, by the installed program against our own server."""

import json
import signal
import subprocess

import pytest

from cli.statuses import ExitStatus
from tests.cli.program import TIMEOUT, Program


def started(program: Program, *arguments: str) -> str:
    result = program.run("start", *arguments)
    assert (result.status, result.stderr) == (0, b"")
    return result.stdout.decode().strip()


def told(program: Program, job: str) -> dict[str, object]:
    values: dict[str, object] = json.loads(program.run("query", "--json", job).stdout)
    return values


@pytest.mark.parametrize("code", [0, 1, 2, 42, 124, 125, 127, 128, 137, 254, 255])
def test_the_code_of_the_job_is_ours(connected: Program, code: int) -> None:
    ran = connected.run("run", "--", "sh", "-c", f"exit {code}")
    assert (ran.status, ran.stdout, ran.stderr) == (code, b"", b"")


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "HUP", "USR1"])
def test_a_signal_is_128_and_its_number_for_run_and_wait(connected: Program, name: str) -> None:
    number = 128 + signal.Signals[f"SIG{name}"]
    job = json.loads(
        connected.run("run", "--json", "--", "sh", "-c", f"ulimit -c 0; kill -{name} $$").stdout
    )
    assert (job["signal"], job["exitCode"]) == (f"SIG{name}", number)
    assert connected.run("wait", job["jobID"]).status == number


def test_a_failure_of_ours_is_125_with_a_sentence(connected: Program) -> None:
    for arguments in (["--", "/no/such"], ["--bogus", "--", "ls"], ["--memory", "x", "--", "ls"]):
        failed = connected.run("run", *arguments)
        assert failed.status == ExitStatus.OURS
        assert failed.said


def test_stdout_and_stderr_are_byte_exact(connected: Program) -> None:
    script = "import os; os.write(1, bytes(range(256))); os.write(2, b'e\\xff')"
    ran = connected.run("run", "--", "python3", "-c", script)
    assert (ran.status, ran.stdout, ran.stderr) == (0, bytes(range(256)), b"e\xff")


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
def test_what_ends_us_ends_the_job(connected: Program, how: signal.Signals) -> None:
    script = "echo ready; exec sleep 98754"
    with connected.popen("run", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(how)
        _, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 143
    job = stderr.decode().split("stopping job ")[1].split(";")[0]
    assert told(connected, job)["state"] == "stopped"


def test_a_second_ctrl_c_kills(connected: Program) -> None:
    script = 'trap "echo trapped" TERM; echo ready; while :; do read x; done < /dev/zero'
    with connected.popen("run", "--", "bash", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert b"once more kills it" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT)
    assert process.returncode == 137


def test_a_reader_that_goes_away_stops_the_job(connected: Program) -> None:
    with connected.popen("run", "--", "yes") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(TIMEOUT) == ExitStatus.READER_GONE
        (line,) = process.stderr.read().decode().splitlines()
    assert line.endswith("nobody reads its output any more")
    assert connected.run("wait", line.split("stopping job ")[1].split(":")[0]).status == 143


def test_detach_prints_the_id(connected: Program) -> None:
    job = connected.run("run", "--detach", "--", "true").stdout.decode().strip()
    assert connected.run("wait", "-j", job.replace("-", "")[:14]).status == 0


def test_wait_in_time_and_of_the_first(connected: Program) -> None:
    long, short = (
        started(connected, "--", "sleep", "98733"),
        started(connected, "sh", "--", "-c", "exit 4"),
    )
    assert connected.run("wait", "--any", long, short).status == 4
    late = connected.run("wait", "--timeout", "0", long)
    assert (late.status, "hasn't ended" in late.said) == (ExitStatus.TIME_IS_UP, True)
    assert connected.run("stop", "--grace", "0", long).status == 0
    assert connected.run("wait", long, short).status == 137


def test_wait_for_any_names_all_when_the_time_is_up(connected: Program) -> None:
    jobs = [started(connected, "--", "sleep", "98735") for _ in range(2)]
    late = connected.run("wait", "--any", "--timeout", "0.2", *jobs)
    assert late.status == ExitStatus.TIME_IS_UP
    said = late.stderr.decode().splitlines()
    assert all(f"job {job} hasn't ended" in line for job, line in zip(jobs, said, strict=True))
    connected.run("stop", "--grace", "0", *jobs)


def test_signals_reach_the_job_and_pause_is_shown(connected: Program) -> None:
    script = 'trap "echo hup; exit 3" HUP; echo ready; while :; do sleep 0.1; done'
    job = started(connected, "--", "sh", "-c", script)
    with connected.popen("logs", job) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert connected.run("pause", job).status == 0
        assert told(connected, job)["paused"] is True
        assert connected.run("resume", job).status == 0
        assert connected.run("signal", "HUP", "-j", job).status == 0
        assert process.stdout.read() == b"hup\n"
    assert connected.run("wait", job).status == 3
    assert connected.run("signal", "HUP", job).status == ExitStatus.REFUSED


def test_one_stamp_a_line_and_each_line_is_json(connected: Program) -> None:
    script = 'import json\nfor n in range(20): print(json.dumps({"n": "x" * 90000}))'
    job = started(connected, "--", "python3", "-c", script)
    plain = connected.run("logs", job).stdout
    stamped = connected.run("logs", "--timestamps", job).stdout.splitlines(keepends=True)
    assert b"".join(line.split(b" ", 1)[1] for line in stamped) == plain
    lines = [json.loads(line) for line in connected.run("logs", "--json", job).stdout.splitlines()]
    assert len([json.loads(line["text"]) for line in lines]) == 20


def test_control_characters_are_safe_in_json_and_raw_in_output(connected: Program) -> None:
    job = started(connected, "--", "printf", r"\033]0;t\007\001\000\v\f\r\n\377red")
    told_ = connected.run("logs", "--json", job).stdout
    assert told_.isascii()
    texts = [json.loads(line)["text"] for line in told_.splitlines()]
    raw = "".join(texts).encode(errors="surrogateescape")
    assert raw == connected.run("logs", job).stdout == b"\x1b]0;t\x07\x01\0\v\f\r\n\xffred"


def test_several_jobs_bear_their_names(connected: Program) -> None:
    jobs = [started(connected, "--", "echo", word) for word in ("one", "two")]
    lines = sorted(connected.run("logs", *jobs).stdout.decode().splitlines())
    assert lines == sorted(
        f"{job[:8]} {word}" for job, word in zip(jobs, ("one", "two"), strict=True)
    )


@pytest.mark.parametrize("count", ["0", "5", "1000000000"])
def test_the_tail_of_nothing_is_nothing(connected: Program, count: str) -> None:
    job = started(connected, "--", "true")
    shown = connected.run("logs", "--tail", count, job)
    assert (shown.status, shown.stdout, shown.stderr) == (0, b"", b"")


def test_the_tail_and_one_stream(connected: Program) -> None:
    job = started(connected, "--", "sh", "-c", "seq 1 9; echo err >&2")
    assert connected.run("wait", job).status == 0
    for option in ("--tail", "-n"):
        assert connected.run("logs", "--stdout", option, "2", job).stdout == b"8\n9\n"
    assert connected.run("logs", "--stderr", job).stderr == b"err\n"


def test_ls_finds_by_label_and_shows_no_escape(connected: Program) -> None:
    job = started(connected, "--label", "team=ls", "--", "printf", "\033[2J")
    connected.run("wait", job)
    shown = connected.run("ls", "--label", "team=ls").stdout.decode()
    assert job[:13] in shown
    assert all(line.isprintable() for line in shown.splitlines())
    found = json.loads(connected.run("ls", "--json", "--all", "--label", "team=ls").stdout)
    assert (found["jobID"], found["state"], found["exitCode"]) == (job, "exited", 0)


def test_ls_shows_as_many_as_it_promises_however_short_a_page_is(connected: Program) -> None:
    large = "x" * 120_000  # five of them fill a page of the server's
    jobs = {
        started(connected, "--label", "team=large", "--", "true", large, large) for _ in range(6)
    }
    assert connected.run("wait", *jobs).status == 0
    listed = connected.run("ls", "--json", "--label", "team=large").stdout.splitlines()
    assert {json.loads(line)["jobID"] for line in listed} == jobs


def test_options_reach_the_job(connected: Program) -> None:
    (connected.folder / "env").write_text("# of a file\nA=file\nB= kept \n\n")
    options = ["--env-file", "env", "--env", "A=1", "--cwd", "/", "--timeout", "1h", "--nice", "5"]
    ran = connected.run("run", *options, "--", "sh", "-c", 'echo "$A|$B|$PWD|$(nice)"')
    assert (ran.stdout, ran.stderr) == (b"1| kept |/|5\n", b"")


def completed(program: Program, shell: str, begins: str, verb: str = "query") -> str:
    return after_tab(program, shell, f"{verb} -j {begins}")


def after_tab(program: Program, shell: str, words: str) -> str:
    line = {
        "_WORKERCLIENT_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": f"workerclient {words}",
        "COMP_CWORD": str(len(words.split(" "))),
        "_TYPER_COMPLETE_ARGS": f"workerclient {words}",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    asked = Program(program.folder, program.environment | line).run()
    assert asked.stderr == b""
    return asked.stdout.decode()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_tab_shows_ids(connected: Program, shell: str) -> None:
    job = started(connected, "--", "sleep", "98734")
    assert job in completed(connected, shell, job[:10])
    connected.run("stop", "--grace", "0", job)


def test_tab_shows_the_ids_that_the_verb_is_for(connected: Program) -> None:
    job = started(connected, "--", "sleep", "98736")
    for_live = {"stop", "signal", "pause", "resume", "query", "logs", "wait"}

    def shown(*verbs: str) -> set[str]:
        return {verb for verb in verbs if job in completed(connected, "bash", job[:10], verb)}

    assert shown(*for_live, "rm") == for_live
    connected.run("stop", "--grace", "0", job)
    connected.run("wait", job)
    assert shown("stop", "signal", "query", "rm") == {"query", "rm"}


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("ls --state ", {"started", "running", "exited", "stopped", "lost"}),
        ("ls --state ex", {"exited"}),
        ("signal HU", {"HUP"}),
        ("signal SIGUSR", {"SIGUSR1", "SIGUSR2"}),
        ("start --stop-signal IN", {"INT"}),
    ],
)
def test_tab_shows_what_a_value_can_be(program: Program, words: str, shown: set[str]) -> None:
    assert set(after_tab(program, "bash", words).split()) == shown


def test_tab_shows_no_job_that_is_named_already(connected: Program) -> None:
    first, second = (started(connected, "--label", "team=tab", "--", "true") for _ in range(2))
    connected.run("wait", first, second)
    for words in (f"rm -j {first} -j ", f"rm {first.replace('-', '').upper()} "):
        shown = after_tab(connected, "bash", words)
        assert (first in shown, second in shown) == (False, True)


def test_completion_is_installed_for_the_shell_that_is_named(program: Program) -> None:
    installed = program.run("--install-completion", "zsh")
    assert (installed.status, installed.stdout.startswith(b"zsh completion installed")) == (0, True)
    assert (program.folder / ".zfunc" / "_workerclient").is_file()
    assert program.run("--install-completion=fish").stdout.startswith(b"fish completion installed")
    assert program.run("--show-completion", "fish").stdout.startswith(b"complete --command worker")
    refused = program.run("--install-completion", "nosh")
    assert refused.status == ExitStatus.SETUP
    assert refused.said.startswith("Invalid value for '--install-completion': 'nosh' is not one of")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_tab_gives_the_shell_no_word_of_a_job_to_run(connected: Program, shell: str) -> None:
    job = started(connected, "--", "sh", "-c", r"exit # \$(touch PWNED)")
    assert "PWNED" not in completed(connected, shell, job[:10])
