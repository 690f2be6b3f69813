"""`run` tells why a job didn't end by itself, and what was cut short is no success."""

from cli.statuses import ExitStatus
from tests.cli.program import TIMEOUT, Program


def test_an_output_that_nothing_takes_stops_the_job(connected: Program) -> None:
    full = Program(connected.folder, redirected="> /dev/full").run("run", "--", "yes")
    stopping, reason = full.stderr.decode().splitlines()
    assert (full.status, "No space left" in reason) == (ExitStatus.OURS, True)
    assert connected.run("wait", stopping.split("stopping job ")[1].split(":")[0]).status == 143


def test_a_time_limit_is_told_and_the_code_is_the_jobs(connected: Program) -> None:
    ended = connected.run("run", "--timeout", "0.2", "--", "sleep", "98743")
    assert (ended.status, ended.said.endswith(": time limit 0.2 s")) == (143, True)


def test_a_job_that_another_one_stops_is_told(connected: Program) -> None:
    with connected.popen("run", "--show-id", "--", "sleep", "98744") as process:
        assert process.stderr is not None
        job = process.stderr.readline().split()[-1].decode()
        connected.run("stop", job)
        _, stderr = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, stderr.decode()) == (
        143,
        f"workerclient: job {job}: stopped by full\n",
    )


def test_what_a_time_limit_cut_short_is_no_success(connected: Program) -> None:
    script = 'trap "exit 0" TERM; while :; do sleep 0.05; done'
    ended = connected.run("run", "--timeout", "0.2", "--", "sh", "-c", script)
    assert ended.status == ExitStatus.TIME_IS_UP


def test_what_another_one_has_stopped_is_no_success(connected: Program) -> None:
    script = 'trap "exit 0" TERM; echo ready; while :; do sleep 0.05; done'
    with connected.popen("run", "--show-id", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        job = process.stderr.readline().split()[-1].decode()
        process.stdout.readline()
        connected.run("stop", job)
        process.communicate(timeout=TIMEOUT)
    assert process.returncode == ExitStatus.INTERRUPTED
