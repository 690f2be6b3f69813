"""A person's folder, in order until a test spoils it."""

import shutil
import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from certs.authority import Pair
from certs.folder import load_pair, write_pair
from tests.client.strangers import listening
from tests.e2e.service import Service

CONFIGURATION = """\
serverAddress: {address}
serverCA: ca.pem
clientCertificate: full.pem
clientKey: full.key
"""


@dataclass(frozen=True)
class Desk:
    folder: Path
    named: Mapping[str | bytes, str]  # what is known only now
    servers: AsyncExitStack  # that a test starts

    @property
    def configuration(self) -> Path:
        return self.folder / "workerclient.yaml"

    def known(self, argument: str | bytes) -> str | bytes:
        return self.named.get(argument, argument)

    def set(self, key: str, value: str) -> None:
        lines = self.configuration.read_text().splitlines()
        kept = [line for line in lines if not line.startswith(f"{key}:")]
        self.configuration.write_text("\n".join([*kept, f"{key}: {value}", ""]))

    def add(self, line: str) -> None:
        self.configuration.write_text(f"{self.configuration.read_text()}{line}\n")

    def be(self, name: str) -> None:
        self.set("clientCertificate", f"{name}.pem")
        self.set("clientKey", f"{name}.key")

    def issue(self, make: Callable[[Pair], Pair]) -> None:
        """Another certificate, by our authority."""
        write_pair(self.folder, "full", make(load_pair(self.folder, "ca")), replace=True)

    async def serve(
        self, protocol: type, make: Callable[[Pair], Pair] | None = None, host: str = "127.0.0.1"
    ) -> None:
        """Something else at the address, that shows such a certificate or speaks no TLS."""
        context = None
        if make:
            write_pair(self.folder, "shown", make(load_pair(self.folder, "ca")))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.set_alpn_protocols(["h2"])
            context.load_cert_chain(self.folder / "shown.pem", self.folder / "shown.key")
        address = await self.servers.enter_async_context(listening(protocol, context, host))
        self.set("serverAddress", f'"{address}"')


def in_order(folder: Path, service: Service, named: Mapping[str | bytes, str]) -> Desk:
    for file in service.certificates.iterdir():
        if file.is_file():
            shutil.copy2(file, folder / file.name)
    desk = Desk(folder, named, AsyncExitStack())
    desk.configuration.write_text(CONFIGURATION.format(address=service.address))
    return desk
