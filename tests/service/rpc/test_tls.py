"""Encryption: both sides prove who they are, new certificates need no restart."""

import asyncio
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jwcal.api.detector1.v1.detector1_pb2 import ListStepsRequest, ListStepsResponse
from jwcal.core.errors import ConfigurationError, Unavailable
from jwcal.core.rpc.certificates import CertificateAuthority, CertificateFiles
from jwcal.core.rpc.channel import open_channel
from jwcal.core.rpc.server import build_server
from jwcal.core.rpc.settings import ClientSettings, ClientTls, ServerSettings, ServerTls
from jwcal.core.rpc.status import remote_errors
from tests.service.event_loop import in_event_loop
from tests.service.rpc.serving import PLAINTEXT_CLIENT, Detector1, Served, serving

LOOPBACK = ("127.0.0.1", "localhost")


@dataclass
class Site:
    """An authority with a server's and a client's certificate."""

    folder: Path
    authority: CertificateAuthority

    @classmethod
    def in_folder(cls, folder: Path, name: str = "site") -> "Site":
        folder.mkdir(parents=True, exist_ok=True)
        site = cls(folder, CertificateAuthority.create(name, now=datetime.now(UTC)))
        site.authority.write_certificate(site.root)
        site.issue("server", hosts=LOOPBACK)
        site.issue("client")
        return site

    @property
    def root(self) -> Path:
        return self.folder / "root.crt"

    def issue(
        self, name: str, hosts: tuple[str, ...] = (), lifetime: timedelta = timedelta(days=1)
    ) -> CertificateFiles:
        return self.authority.issue(name, self.folder, now=datetime.now(UTC), hosts=hosts, lifetime=lifetime)

    def server(self, *, mutual: bool = True) -> ServerSettings:
        tls = ServerTls(
            certificate=self.folder / "server.crt",
            private_key=self.folder / "server.key",
            client_authority=self.root if mutual else None,
        )
        return ServerSettings(tls=tls)

    def client(self, name: str | None = "client") -> ClientSettings:
        tls = ClientTls(
            authority=self.root,
            certificate=self.folder / f"{name}.crt" if name else None,
            private_key=self.folder / f"{name}.key" if name else None,
        )
        return ClientSettings(tls=tls)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.in_folder(tmp_path / "site")


async def ask(served: Served, client: ClientSettings) -> None:
    """One call over a new channel."""
    async with open_channel(served.address, client, retries=None) as channel:
        with remote_errors():
            await Served(served.server, served.address, channel).detector1.ListSteps(ListStepsRequest(), timeout=5)


async def shown_certificate(served: Served, site: Site) -> int:
    """Serial number of the certificate that the server shows to a new connection."""
    from cryptography import x509

    context = ssl.create_default_context(cafile=str(site.root))
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(site.folder / "client.crt", site.folder / "client.key")
    address = served.server.addresses[0]
    _, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()  # gRPC does not take part in an orderly end of TLS
    return x509.load_der_x509_certificate(der).serial_number


def test_both_sides_with_certificates_of_the_authority_talk(site: Site) -> None:
    @in_event_loop
    async def run() -> None:
        servicer = Detector1()
        async with serving(servicer, settings=site.server(), client=site.client()) as served:
            await ask(served, site.client())
        assert servicer.calls == ["ListSteps"]

    run()


def test_a_client_without_a_certificate_is_refused(site: Site) -> None:
    @in_event_loop
    async def run() -> None:
        servicer = Detector1()
        async with serving(servicer, settings=site.server(), client=site.client()) as served:
            with pytest.raises(Unavailable):
                await ask(served, site.client(name=None))
        assert servicer.calls == []

    run()


def test_a_client_of_another_authority_is_refused(site: Site, tmp_path: Path) -> None:
    @in_event_loop
    async def run() -> None:
        stranger = Site.in_folder(tmp_path / "stranger")
        tls = stranger.client().tls
        assert tls is not None
        client = ClientSettings(tls=tls.model_copy(update={"authority": site.root}))
        async with serving(Detector1(), settings=site.server(), client=site.client()) as served:
            with pytest.raises(Unavailable):
                await ask(served, client)

    run()


def test_an_expired_client_certificate_is_refused(site: Site) -> None:
    @in_event_loop
    async def run() -> None:
        site.issue("old", lifetime=timedelta(seconds=-1))
        async with serving(Detector1(), settings=site.server(), client=site.client()) as served:
            with pytest.raises(Unavailable):
                await ask(served, site.client("old"))

    run()


def test_a_server_of_another_authority_or_name_is_not_trusted(site: Site, tmp_path: Path) -> None:
    @in_event_loop
    async def run() -> None:
        stranger = Site.in_folder(tmp_path / "stranger")
        async with serving(Detector1(), settings=stranger.server(mutual=False), client=site.client()) as served:
            with pytest.raises(Unavailable):
                await ask(served, site.client())
        site.issue("server", hosts=("elsewhere.example",))
        async with serving(Detector1(), settings=site.server(mutual=False), client=site.client()) as served:
            with pytest.raises(Unavailable):
                await ask(served, site.client())

    run()


def test_plaintext_to_a_tls_port_is_refused(site: Site) -> None:
    @in_event_loop
    async def run() -> None:
        servicer = Detector1()
        async with serving(servicer, settings=site.server(mutual=False), client=site.client()) as served:
            with pytest.raises(Unavailable):
                await ask(served, PLAINTEXT_CLIENT)
        assert servicer.calls == []

    run()


def test_a_live_server_takes_over_new_certificates(site: Site) -> None:
    @in_event_loop
    async def run() -> None:
        async with serving(Detector1(), settings=site.server(), client=site.client()) as served:
            await served.detector1.ListSteps(ListStepsRequest())
            first = await shown_certificate(served, site)
            site.issue("server", hosts=LOOPBACK)
            second = await shown_certificate(served, site)
            await ask(served, site.client())
            await served.detector1.ListSteps(ListStepsRequest())  # the old connection goes on
        assert first != second

    run()


def test_a_live_server_takes_over_a_new_authority(site: Site, tmp_path: Path) -> None:
    @in_event_loop
    async def run() -> None:
        async with serving(Detector1(), settings=site.server(), client=site.client()) as served:
            successor = Site.in_folder(tmp_path / "successor", "another site")
            for name in ("server.crt", "server.key", "root.crt"):
                (site.folder / name).write_bytes((successor.folder / name).read_bytes())
            await ask(served, successor.client())
            with pytest.raises(Unavailable):
                await ask(served, site.client())

    run()


def test_a_client_that_goes_on_takes_over_new_certificates_and_calls_in_flight_finish(
    site: Site, tmp_path: Path
) -> None:
    @in_event_loop
    async def run() -> None:
        peers: list[str] = []
        begun, release = asyncio.Event(), asyncio.Event()

        async def list_steps(request: ListStepsRequest, context: Any) -> ListStepsResponse:
            peers.append(context.peer())
            if request.plan == "slow":
                begun.set()
                await release.wait()
            return ListStepsResponse()

        async with serving(Detector1(list_steps), settings=site.server(), client=site.client()) as served:
            stub = served.detector1
            await stub.ListSteps(ListStepsRequest())
            slow = asyncio.ensure_future(_ask_slowly(stub))
            await begun.wait()
            successor = Site.in_folder(tmp_path / "successor", "another site")
            for name in ("server.crt", "server.key", "root.crt", "client.crt", "client.key"):
                (site.folder / name).write_bytes((successor.folder / name).read_bytes())
            await stub.ListSteps(ListStepsRequest())
            release.set()
            await slow
        assert peers[0] == peers[1] != peers[2]

    run()


async def _ask_slowly(stub: Any) -> None:
    await stub.ListSteps(ListStepsRequest(plan="slow"))


def test_a_key_that_does_not_fit_leaves_the_old_pair_in_force(site: Site) -> None:
    @in_event_loop
    async def run() -> None:
        async with serving(Detector1(), settings=site.server(), client=site.client()) as served:
            first = await shown_certificate(served, site)
            other = site.issue("other", hosts=LOOPBACK)
            (site.folder / "server.key").write_bytes(other.private_key.read_bytes())
            assert await shown_certificate(served, site) == first
            (site.folder / "server.crt").write_bytes(other.certificate.read_bytes())
            assert await shown_certificate(served, site) != first

    run()


def test_a_server_does_not_start_with_a_key_that_does_not_fit(site: Site) -> None:
    @in_event_loop
    async def run() -> None:
        other = site.issue("other", hosts=LOOPBACK)
        (site.folder / "server.key").write_bytes(other.private_key.read_bytes())
        server = build_server([], site.server(), verifier=None)
        with pytest.raises(ConfigurationError, match="not that of the certificate"):
            await server.start()

    run()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "198.51.100.7:1", "example.org:1"])
def test_plaintext_beyond_this_machine_is_refused(address: str) -> None:
    @in_event_loop
    async def run() -> None:
        with pytest.raises(ConfigurationError, match="no plaintext"):
            build_server([], ServerSettings(listen=(address,), plaintext=True), verifier=None)
        with pytest.raises(ConfigurationError, match="no plaintext"):
            open_channel(address, PLAINTEXT_CLIENT)

    run()


def test_plaintext_must_be_asked_for() -> None:
    @in_event_loop
    async def run() -> None:
        with pytest.raises(ConfigurationError, match="no TLS"):
            build_server([], ServerSettings(), verifier=None)
        with pytest.raises(ConfigurationError, match="no TLS"):
            open_channel("127.0.0.1:1", ClientSettings())

    run()


def test_a_server_that_others_can_reach_needs_tokens(site: Site) -> None:
    @in_event_loop
    async def run() -> None:
        settings = site.server().model_copy(update={"listen": ("0.0.0.0:0",)})
        with pytest.raises(ConfigurationError, match="tokens needed"):
            build_server([], settings, verifier=None)

    run()


def test_private_keys_are_for_their_owner_alone(site: Site) -> None:
    assert (site.folder / "server.key").stat().st_mode & 0o077 == 0
    assert "private_key" not in repr(site.authority)
