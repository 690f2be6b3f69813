"""What each RPC promises, asked by the generated stub over TLS."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import betterproto
import pytest
from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from gen import workerservice as wire
from tests.server.conftest import Serving
from tests.server.raw import client_tls
from worker.rpc.codec import StrictCodec

pytestmark = pytest.mark.every_python

NOBODYS = uuid4().bytes


@pytest.fixture
async def stub(serving: Serving) -> AsyncIterator[wire.WorkerServiceStub]:
    tls = client_tls(serving.certificates, "full")
    async with Channel("localhost", serving.port, ssl=tls, codec=StrictCodec()) as channel:
        yield wire.WorkerServiceStub(channel)


def shell(script: str, **options: object) -> wire.StartRequest:
    return wire.StartRequest(command_name="sh", arguments=["-c", script], **options)  # type: ignore[arg-type]  # any of its fields


async def started(stub: wire.WorkerServiceStub, request: wire.StartRequest) -> bytes:
    return (await stub.start(request)).job_id


async def final(stub: wire.WorkerServiceStub, job: bytes) -> wire.QueryStatusResponse:
    return await stub.wait(wire.WaitRequest(job_id=job))


async def output(
    stub: wire.WorkerServiceStub, **asked: object
) -> tuple[bytes, wire.GetOutputResponse]:
    """All bytes, and the last message."""
    request = wire.GetOutputRequest(**asked)  # type: ignore[arg-type]  # any of its fields
    messages = [message async for message in stub.get_output(request)]
    assert not any(betterproto.serialized_on_wire(message.end) for message in messages[:-1])
    return b"".join(message.output for message in messages), messages[-1]


async def test_the_status_of_a_job_tells_all_of_it(stub: wire.WorkerServiceStub) -> None:
    request = shell("printf out; printf err!! >&2; kill -9 $$", labels={"team": "blue"})
    job = await started(stub, request)
    status = await final(stub, job)
    assert (status.job_id, status.command_name, status.arguments) == (
        job,
        "sh",
        request.arguments,
    )
    assert (status.job_status, status.outcome) == (wire.JobStatus.EXITED, wire.Outcome.SIGNALED)
    assert (status.exit_code, status.signal, status.cause) == (137, "SIGKILL", wire.Cause.OWN_EXIT)
    assert (status.owner, status.labels) == ("full", {"team": "blue"})
    assert status.output == wire.OutputSize(bytes=8, stdout=3, stderr=5)
    times = [status.created_at, status.started_at, status.leader_exited_at, status.ended_at]
    assert times == sorted(filter(None, times))


async def test_a_running_job_has_no_code_and_no_end(stub: wire.WorkerServiceStub) -> None:
    job = await started(stub, shell("sleep 600", grace_period=timedelta(0)))
    status = await stub.query_status(wire.QueryStatusRequest(job_id=job))
    assert (status.job_status, status.outcome) == (wire.JobStatus.RUNNING, 0)
    assert (status.exit_code, status.ended_at, status.leader_exited_at) == (0, None, None)


async def test_the_same_start_twice_is_one_job(
    stub: wire.WorkerServiceStub, tmp_path: Path
) -> None:
    request = shell(f"echo once >> {tmp_path / 'count'}", job_id=uuid4().bytes)
    assert [await started(stub, request) for _ in range(3)] == [request.job_id] * 3
    await final(stub, request.job_id)
    assert await started(stub, request) == request.job_id
    assert (tmp_path / "count").read_text() == "once\n"


async def test_another_start_with_the_same_id_is_refused(stub: wire.WorkerServiceStub) -> None:
    request = shell("true", job_id=uuid4().bytes)
    await started(stub, request)
    with pytest.raises(GRPCError) as refusal:
        await started(stub, shell("false", job_id=request.job_id))
    assert refusal.value.status is Status.ALREADY_EXISTS


async def test_a_stop_is_recorded_with_who_asked_for_it(stub: wire.WorkerServiceStub) -> None:
    job = await started(stub, shell("trap '' TERM; echo on; while :; do sleep 1; done"))
    async for message in stub.get_output(wire.GetOutputRequest(job_id=job)):
        assert message.output == b"on\n"
        break
    await stub.stop(wire.StopRequest(job_id=job, grace_period=timedelta(0)))
    status = await final(stub, job)
    assert (status.job_status, status.cause) == (wire.JobStatus.STOPPED, wire.Cause.STOP)
    assert (status.stopped_by, status.signal) == ("full", "SIGKILL")
    await stub.stop(wire.StopRequest(job_id=job))  # no error, and no change
    assert await final(stub, job) == status


async def test_input_goes_to_the_job_of_the_first_message_alone(
    serving: Serving, stub: wire.WorkerServiceStub
) -> None:
    job, other = [await started(stub, wire.StartRequest("cat", input=True)) for _ in range(2)]
    Input = wire.SendInputRequest  # noqa: N806 - a class
    same = [Input(job), Input(data=b"a"), Input(job, offset=1, data=b"b")]
    assert [each.accepted async for each in stub.send_input(same)] == [0, 1, 2]
    with pytest.raises(GRPCError, match="another one than in the first message") as refusal:
        [_ async for _ in stub.send_input([Input(job), Input(other, offset=2, data=b"c")])]
    assert refusal.value.status is Status.INVALID_ARGUMENT
    assert await serving.registry.take_input(UUID(bytes=job), 0, b"") == 2


async def test_a_removed_job_is_not_found_and_its_id_is_not_free(
    stub: wire.WorkerServiceStub,
) -> None:
    request = shell("echo hello", job_id=uuid4().bytes)
    job = await started(stub, request)
    await final(stub, job)
    assert await stub.remove(wire.RemoveRequest(job_id=job)) == wire.RemoveResponse()
    with pytest.raises(GRPCError, match="was removed by full at 20") as refusal:
        await final(stub, job)
    assert refusal.value.status is Status.NOT_FOUND
    with pytest.raises(GRPCError, match=r"ran as .* and was removed by full") as refusal:
        await started(stub, request)
    assert refusal.value.status is Status.ALREADY_EXISTS


async def test_a_running_job_is_not_removed(stub: wire.WorkerServiceStub) -> None:
    job = await started(stub, shell("sleep 600", grace_period=timedelta(0)))
    with pytest.raises(GRPCError, match="hasn't ended") as refusal:
        await stub.remove(wire.RemoveRequest(job_id=job))
    assert refusal.value.status is Status.FAILED_PRECONDITION


async def test_an_answer_is_complete_though_its_job_is_removed(
    stub: wire.WorkerServiceStub,
) -> None:
    size = 20 * 2**20  # more than windows and sockets hold
    job = await started(stub, shell(f"head -c {size} /dev/zero; exit 4"))
    await final(stub, job)
    received = 0
    async for message in stub.get_output(wire.GetOutputRequest(job_id=job)):
        if not received:
            await stub.remove(wire.RemoveRequest(job_id=job))
        received += len(message.output)
    assert received == size
    assert message.end == wire.OutputEnd(size, wire.Outcome(1), 4)


@pytest.mark.parametrize(
    "timeout",
    [pytest.param(timedelta(0), id="0"), pytest.param(timedelta(milliseconds=1), id="1 ms")],
)
async def test_a_wait_that_runs_out_is_the_present_status(
    stub: wire.WorkerServiceStub, timeout: timedelta
) -> None:
    job = await started(stub, shell("sleep 600", grace_period=timedelta(0)))
    status = await stub.wait(wire.WaitRequest(job_id=job, timeout=timeout))
    assert status.job_status == wire.JobStatus.RUNNING


async def test_a_wait_for_ages_ends_with_the_job(stub: wire.WorkerServiceStub) -> None:
    job = await started(stub, shell("exit 3"))
    status = await stub.wait(wire.WaitRequest(job_id=job, timeout=timedelta(days=365_000)))
    assert status.exit_code == 3


async def test_output_may_be_asked_for_from_any_offset(stub: wire.WorkerServiceStub) -> None:
    job = await started(stub, shell("printf 0123456789; exit 4"))
    await final(stub, job)
    for offset in range(11):
        data, last = await output(stub, job_id=job, offset=offset)
        assert data == b"0123456789"[offset:]
        assert last.end == wire.OutputEnd(10, wire.Outcome(1), 4)


@pytest.mark.parametrize("offset", [11, 2**40, 2**63, 2**64 - 1])
async def test_an_offset_beyond_a_final_output_is_out_of_range(
    stub: wire.WorkerServiceStub, offset: int
) -> None:
    job = await started(stub, shell("printf 0123456789"))
    await final(stub, job)
    with pytest.raises(GRPCError) as refusal:
        await output(stub, job_id=job, offset=offset)
    assert refusal.value.status is Status.OUT_OF_RANGE


async def test_without_following_an_answer_ends_where_the_output_does_now(
    stub: wire.WorkerServiceStub,
) -> None:
    job = await started(stub, shell("printf 01234; exec sleep 600", grace_period=timedelta(0)))
    async for message in stub.get_output(wire.GetOutputRequest(job_id=job)):
        assert message.output == b"01234"
        break
    data, last = await output(stub, job_id=job, offset=2, no_follow=True)
    assert (data, last.end) == (b"234", wire.OutputEnd(total=5))
    data, last = await output(stub, job_id=job, offset=2**64 - 1, no_follow=True)
    assert (data, last.end) == (b"", wire.OutputEnd(total=5))


async def test_tagged_output_tells_its_streams(stub: wire.WorkerServiceStub) -> None:
    job = await started(stub, shell("printf out; sleep 0.1; printf err >&2"))
    request = wire.GetOutputRequest(job_id=job, tagged=True)
    *chunks, last = [message async for message in stub.get_output(request)]
    assert [(chunk.output, chunk.stream, chunk.offset) for chunk in chunks] == [
        (b"out", wire.Stream.STDOUT, 0),
        (b"err", wire.Stream.STDERR, 3),
    ]
    assert all(chunk.time for chunk in chunks)
    assert last.end.total == 6


async def test_untagged_output_tells_nothing_but_its_offset(stub: wire.WorkerServiceStub) -> None:
    job = await started(stub, shell("printf out", output_mode=wire.OutputMode.MERGED))
    request = wire.GetOutputRequest(job_id=job, stream=wire.Stream.ALL)  # type: ignore[arg-type]  # the stub takes int
    first, _ = [message async for message in stub.get_output(request)]
    assert first == wire.GetOutputResponse(output=b"out", stream=wire.Stream(1))


@pytest.mark.parametrize(
    ("asked", "status", "field"),
    [
        ({"tail_bytes": 0, "tail_lines": 3}, Status.INVALID_ARGUMENT, "tailLines"),
        ({"tail_lines": 3, "offset": 1}, Status.INVALID_ARGUMENT, "only one of them"),
        ({"stream": 4}, Status.INVALID_ARGUMENT, "stream"),
        ({"stream": 99}, Status.INVALID_ARGUMENT, "stream: 99"),
    ],
    ids=str,
)
async def test_what_can_not_be_selected_is_refused(
    stub: wire.WorkerServiceStub, asked: dict[str, int], status: Status, field: str
) -> None:
    with pytest.raises(GRPCError, match=field) as refusal:
        await output(stub, job_id=NOBODYS, **asked)
    assert refusal.value.status is status


@pytest.mark.parametrize(
    ("rpc", "request_"),
    [
        ("query_status", wire.QueryStatusRequest(job_id=NOBODYS)),
        ("stop", wire.StopRequest(job_id=NOBODYS)),
        ("wait", wire.WaitRequest(job_id=NOBODYS)),
        ("remove", wire.RemoveRequest(job_id=NOBODYS)),
    ],
)
async def test_a_job_that_nobody_knows_is_not_found(
    stub: wire.WorkerServiceStub, rpc: str, request_: betterproto.Message
) -> None:
    with pytest.raises(GRPCError, match=str(UUID(bytes=NOBODYS))) as refusal:
        await getattr(stub, rpc)(request_)
    assert refusal.value.status is Status.NOT_FOUND


async def test_output_that_nobody_knows_is_not_found(stub: wire.WorkerServiceStub) -> None:
    with pytest.raises(GRPCError, match=str(UUID(bytes=NOBODYS))) as refusal:
        await output(stub, job_id=NOBODYS)
    assert refusal.value.status is Status.NOT_FOUND
