"""A client of the original contract that comes often; test_every_language.py has the rest."""

import grpc
import pytest

from tests.e2e.foreign import Foreign, Stubs
from tests.e2e.service import Service


async def test_fifty_connections_without_a_certificate_are_all_told_so(
    shared: Service, stubs: Stubs
) -> None:
    for _ in range(50):
        async with Foreign(shared, stubs, None) as client:
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await client.start("x" * 60_000)
            assert refusal.value.code() == grpc.StatusCode.UNAUTHENTICATED
