"""TLS from two files, read again when they change.

A certificate that was read again gets a context of its own, to which each new connection is sent when it says hello: a
context that others use is never changed, in the middle of which their handshake would fail. No open connection notices.
"""

import ssl
from pathlib import Path

from cryptography import x509

from config.settings import SettingsInvalid


class Certificate:
    """A TLS context and the files behind it."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises SettingsInvalid."""
        self._files = (certificate, key)
        self.expires_at = 0.0
        """When the certificate in use ends, in seconds since the epoch."""
        try:
            self._stamp = self._read_stamp()
            self.context = self._current = self._load()
        except (OSError, ssl.SSLError, ValueError) as error:
            raise SettingsInvalid(
                f"tls.certificate and tls.key: `{certificate}` and `{key}` cannot be used: {error}"
            ) from error
        self.context.sni_callback = self._send_on

    def reload(self) -> bool:
        """Load the files if they changed; True if they did. Raises OSError, ssl.SSLError, ValueError: the old ones stay in use."""
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return False
        self._current = self._load()
        self._stamp = stamp
        return True

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(*self._files)
        certificate = x509.load_pem_x509_certificate(self._files[0].read_bytes())
        self.expires_at = certificate.not_valid_after_utc.timestamp()
        return context

    def _send_on(self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:  # noqa: ARG002 - ssl calls it
        connection.context = self._current

    def _read_stamp(self) -> tuple[tuple[int, int, int], ...]:
        found = [path.stat() for path in self._files]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in found)
