"""What the Tab key shows, and that it is installed."""

import asyncio

from cli.statuses import ExitStatus
from tests.cli.program import Program
from worker.client import Client


async def completed(program: Program, shell: str, begins: str, verb: str = "query") -> str:
    return await after_tab(program, shell, f"{verb} -j {begins}")


async def after_tab(program: Program, shell: str, words: str) -> str:
    line = {
        "_WORKERCLIENT_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": f"workerclient {words}",
        "COMP_CWORD": str(len(words.split(" "))),
        "_TYPER_COMPLETE_ARGS": f"workerclient {words}",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    asked = await Program(program.folder, program.environment | line).aside()
    assert asked.stderr == b""
    return asked.stdout.decode()


async def test_tab_shows_ids_and_gives_the_shell_no_word_of_a_job_to_run(
    connected: Program, client: Client
) -> None:
    job = str((await client.start("sh", "-c", r"exit # \$(touch PWNED)")).id)
    shells = ("bash", "zsh", "fish")
    for shown in await asyncio.gather(*(completed(connected, each, job[:10]) for each in shells)):
        assert (job in shown, "PWNED" in shown) == (True, False)


async def test_tab_shows_the_ids_that_the_verb_is_for(connected: Program, client: Client) -> None:
    started = await client.start("sleep", "98736")
    job = str(started.id)
    for_live = {"stop", "signal", "pause", "resume", "query", "logs", "wait"}

    async def shown(*verbs: str) -> set[str]:
        found = await asyncio.gather(
            *(completed(connected, "bash", job[:10], verb) for verb in verbs)
        )
        return {verb for verb, jobs in zip(verbs, found, strict=True) if job in jobs}

    assert await shown(*for_live, "rm") == for_live
    await started.stop(grace_period=0)
    await started.wait()
    assert await shown("stop", "signal", "query", "rm") == {"query", "rm"}


async def test_tab_shows_what_a_value_can_be(program: Program) -> None:
    values = {
        "ls --state ": {"started", "running", "exited", "stopped", "lost"},
        "ls --state ex": {"exited"},
        "signal HU": {"HUP"},
        "signal SIGUSR": {"SIGUSR1", "SIGUSR2"},
        "start --stop-signal IN": {"INT"},
    }
    found = await asyncio.gather(*(after_tab(program, "bash", words) for words in values))
    assert dict(zip(values, (set(shown.split()) for shown in found), strict=True)) == values


async def test_tab_shows_no_job_that_is_named_already(connected: Program, client: Client) -> None:
    jobs = [await client.start("true", labels={"team": "tab"}) for _ in range(2)]
    for job in jobs:
        await job.wait()
    first, second = (str(job.id) for job in jobs)
    lines = (f"rm -j {first} -j ", f"rm {first.replace('-', '').upper()} ")
    for shown in await asyncio.gather(*(after_tab(connected, "bash", each) for each in lines)):
        assert (first in shown, second in shown) == (False, True)


async def test_completion_is_installed_for_the_shell_that_is_named(program: Program) -> None:
    zsh, fish, script, refused = await program.at_once(
        ["--install-completion", "zsh"],
        ["--install-completion=fish"],
        ["--show-completion", "fish"],
        ["--install-completion", "nosh"],
    )
    assert (zsh.status, zsh.stdout.startswith(b"zsh completion installed")) == (0, True)
    assert (program.folder / ".zfunc" / "_workerclient").is_file()
    assert fish.stdout.startswith(b"fish completion installed")
    assert script.stdout.startswith(b"complete --command worker")
    assert refused.status == ExitStatus.SETUP
    assert refused.said.startswith("Invalid value for '--install-completion': 'nosh' is not one of")


async def test_tab_asks_the_server_of_the_configuration_that_is_named(
    connected: Program, client: Client
) -> None:
    named = {"WORKERCLIENT_CONFIG": str(connected.folder / "workerclient.yaml")}
    elsewhere = Program(connected.folder.parent, named)
    job = str((await client.start("true")).id)
    assert job in await after_tab(elsewhere, "bash", f"logs {job[:13]}")
