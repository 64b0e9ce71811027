"""TLS of servers and channels, from PEM files that may be replaced while the program runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from jwcal.core.errors import ConfigurationError
from jwcal.core.rpc.settings import ClientTls, ServerTls
from jwcal.core.rpc.watched_files import WatchedFiles


def server_credentials(settings: ServerTls) -> grpc.ServerCredentials:
    """Credentials of a server; files are looked at with every new connection.

    Connections that exist go on with what they began with.

    Raises
    ------
    ConfigurationError
        Where a file is not there, or the key is not the certificate's.
    """
    authority = settings.client_authority
    files = [settings.certificate, settings.private_key, *([authority] if authority else [])]
    watched = WatchedFiles(files, lambda: _server_configuration(settings))
    given = watched.current()

    def latest() -> Any:
        nonlocal given
        found = watched.current()
        if found is given:
            return None  # no change
        given = found
        return found

    return grpc.dynamic_ssl_server_credentials(given, latest, require_client_authentication=authority is not None)


def watched_channel_credentials(settings: ClientTls) -> Callable[[], grpc.ChannelCredentials]:
    """Gives the credentials of a channel: the same ones until a file has changed."""
    files = [path for path in (settings.authority, settings.certificate, settings.private_key) if path]
    return WatchedFiles(files, lambda: _channel_credentials(settings)).current


def _channel_credentials(settings: ClientTls) -> grpc.ChannelCredentials:
    chain: bytes | None = None
    key: bytes | None = None
    if settings.certificate and settings.private_key:
        chain, key = _pair(settings.certificate, settings.private_key)
    roots = _authorities(settings.authority) if settings.authority else None
    return grpc.ssl_channel_credentials(roots, key, chain)


def _server_configuration(settings: ServerTls) -> grpc.ServerCertificateConfiguration:
    chain, key = _pair(settings.certificate, settings.private_key)
    roots = _authorities(settings.client_authority) if settings.client_authority else None
    return grpc.ssl_server_certificate_configuration([(key, chain)], roots)


def _pair(certificate: Path, private_key: Path) -> tuple[bytes, bytes]:
    """Chain and key, which gRPC would only find not to fit in the middle of a handshake."""
    chain, key = _read(certificate), _read(private_key)
    try:
        of_key = load_pem_private_key(key, None).public_key()
    except (ValueError, TypeError) as error:
        raise ConfigurationError("is no private key in PEM without a passphrase", file=private_key) from error
    of_certificate = _parse(chain, certificate)[0].public_key()
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if of_key.public_bytes(*form) != of_certificate.public_bytes(*form):
        raise ConfigurationError("the key is not that of the certificate", file=private_key, certificate=certificate)
    return chain, key


def _authorities(path: Path) -> bytes:
    pem = _read(path)
    _parse(pem, path)
    return pem


def _parse(pem: bytes, path: Path) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigurationError("is no certificate in PEM", file=path) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError("cannot be read", file=path, cause=type(error).__name__) from error
