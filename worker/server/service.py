"""The RPCs: what is asked of the registry, and what is answered.

Each is an asynchronous generator of its answers, also where there is exactly one, so that all
are called in one way. What it holds is closed when the client leaves.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import betterproto

from gen import workerservice as wire
from worker.errors import InvalidRequest
from worker.jobs.registry import Registry
from worker.listing import ON_A_PAGE
from worker.rpc.convert import end_response, output_response, status_response
from worker.server.identity import Identity
from worker.server.permitted import Permitted
from worker.server.requests import (
    filter_of,
    job_id_of,
    new_job_id,
    selection_of,
    spec_of,
    stop_grace_of,
    timeout_of,
)

ANYTHING_PLAIN: Final = Permitted()


@dataclass(frozen=True, slots=True)
class Method:
    """`is_long`: it may go on for days, so a server that leaves ends it at once.

    `is_stream`: it is given an iterator of its requests, in place of the one.
    """

    request: type[betterproto.Message]
    answers: Callable[[Any, Identity], AsyncGenerator[betterproto.Message, None]]
    is_long: bool = False
    is_stream: bool = False


class Service:
    def __init__(self, registry: Registry, permitted: Permitted = ANYTHING_PLAIN) -> None:
        self._registry, self._permitted = registry, permitted
        # Without those that aren't built yet.
        self.methods: Mapping[str, Method] = {
            "Start": Method(wire.StartRequest, self.start),
            "Stop": Method(wire.StopRequest, self.stop),
            "QueryStatus": Method(wire.QueryStatusRequest, self.query_status),
            "GetOutput": Method(wire.GetOutputRequest, self.get_output, is_long=True),
            "Wait": Method(wire.WaitRequest, self.wait, is_long=True),
            "Remove": Method(wire.RemoveRequest, self.remove),
            "Signal": Method(wire.SignalRequest, self.signal),
            "SendInput": Method(
                wire.SendInputRequest, self.send_input, is_long=True, is_stream=True
            ),
            "List": Method(wire.ListRequest, self.list),
            "Watch": Method(wire.WatchRequest, self.watch, is_long=True),
        }

    async def start(
        self, request: wire.StartRequest, caller: Identity
    ) -> AsyncGenerator[wire.StartResponse, None]:
        spec = spec_of(request)
        self._permitted.check(spec)
        job = await self._registry.submit(
            spec,
            job_id=new_job_id(request.job_id),
            owner=caller.name,
            defaults=self._permitted.defaults,
        )
        yield wire.StartResponse(job_id=job.id.bytes)

    async def stop(
        self, request: wire.StopRequest, caller: Identity
    ) -> AsyncGenerator[wire.StopResponse, None]:
        await self._registry.stop(
            job_id_of(request.job_id), grace_period=stop_grace_of(request), by=caller.name
        )
        yield wire.StopResponse()

    async def query_status(
        self, request: wire.QueryStatusRequest, _caller: Identity
    ) -> AsyncGenerator[wire.QueryStatusResponse, None]:
        yield status_response(await self._registry.status(job_id_of(request.job_id)))

    async def wait(
        self, request: wire.WaitRequest, _caller: Identity
    ) -> AsyncGenerator[wire.QueryStatusResponse, None]:
        job_id, timeout = job_id_of(request.job_id), timeout_of(request)
        yield status_response(await self._registry.wait(job_id, timeout))

    async def remove(
        self, request: wire.RemoveRequest, caller: Identity
    ) -> AsyncGenerator[wire.RemoveResponse, None]:
        await self._registry.remove(job_id_of(request.job_id), by=caller.name)
        yield wire.RemoveResponse()

    async def signal(
        self, request: wire.SignalRequest, _caller: Identity
    ) -> AsyncGenerator[wire.SignalResponse, None]:
        await self._registry.signal(
            job_id_of(request.job_id), request.signal, leader_only=request.leader_only
        )
        yield wire.SignalResponse()

    async def send_input(
        self, requests: AsyncGenerator[wire.SendInputRequest, None], _caller: Identity
    ) -> AsyncGenerator[wire.SendInputResponse, None]:
        """The total first, so that the client knows where to go on; then after each piece."""
        job_id = None
        async for request in requests:
            if job_id is not None:
                _check_same(job_id, request.job_id)
            else:
                job_id = job_id_of(request.job_id)
                accepted = await self._registry.take_input(job_id, 0, b"")
                yield wire.SendInputResponse(accepted)
            if request.data or request.end:
                accepted = await self._registry.take_input(
                    job_id, request.offset, request.data, end=request.end
                )
                yield wire.SendInputResponse(accepted)
        if job_id is None:
            raise InvalidRequest("the request has no message")

    async def list(
        self, request: wire.ListRequest, _caller: Identity
    ) -> AsyncGenerator[wire.ListResponse, None]:
        page = await self._registry.page(
            filter_of(request), limit=request.limit or ON_A_PAGE, token=request.page_token
        )
        yield wire.ListResponse(list(map(status_response, page.jobs)), page.next_token)

    async def watch(
        self, request: wire.WatchRequest, _caller: Identity
    ) -> AsyncGenerator[wire.QueryStatusResponse, None]:
        job_id = job_id_of(request.job_id) if request.job_id else None
        async with aclosing(self._registry.watch(job_id, since=request.since_revision)) as statuses:
            async for status in statuses:
                yield status_response(status)

    async def get_output(
        self, request: wire.GetOutputRequest, _caller: Identity
    ) -> AsyncGenerator[wire.GetOutputResponse, None]:
        """The output, then one end message: without it the client knows that some is missing."""
        job_id, selection = job_id_of(request.job_id), selection_of(request)
        position = selection.offset
        with self._registry.watching(job_id) as job:  # it has an end, also if it is removed
            chunks = self._registry.selected(job_id, selection)
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield output_response(chunk)
                    position = chunk.offset + len(chunk.data)
            status = await job.current_status()
        # More may have been printed since; less has been if it was asked for from beyond.
        yield end_response(status, min(position, status.output.total))


def _check_same(job_id: UUID, named: bytes) -> None:
    """A message after the first may leave the job out, but name no other."""
    if named and job_id_of(named) != job_id:
        raise InvalidRequest("jobID is another one than in the first message: ask twice")
