"""Amazon's own host names, pointing at a server on this machine for the processes of one mount namespace.

The machine's /etc/hosts stays as it is: a file of ours is bound over it in a namespace that a holder process keeps, and
programs enter that namespace by nsenter. Certificates come from an authority made for the test.
"""

import datetime as dt
import ipaddress
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Namespace:
    """A mount namespace in which `names` resolve to `address`. Needs root. Raises OSError where it cannot be made."""

    def __init__(self, directory: Path, address: str, names: Sequence[str]) -> None:
        self.hosts = directory / "hosts"
        self.hosts.write_text(f"127.0.0.1 localhost\n{address} {' '.join(names)}\n")
        self._holder: subprocess.Popen[str] | None = None

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words before a program that is to run in it."""
        assert self._holder is not None
        return ("/usr/bin/nsenter", "--mount", "--target", str(self._holder.pid), "--wd=.")

    def __enter__(self) -> Self:
        script = 'mount --bind "$1" /etc/hosts && echo made && exec cat'
        words = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", script, "sh", str(self.hosts)]
        self._holder = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline().strip() != "made":
            _, complaint = self._holder.communicate()
            raise OSError(complaint.strip() or "no mount namespace")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._holder is not None
        self._holder.communicate()  # its input ends, so does it, and the namespace with it


def certify(directory: Path, names: Sequence[str], addresses: Sequence[str] = ()) -> tuple[Path, Path, Path]:
    """Makes an authority and a certificate of it for `names`; gives the files (authority, certificate, key)."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
    now = dt.datetime.now(dt.UTC)

    def certificate(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=2))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )

    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    authority = (
        certificate(authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    alternatives = [
        *(x509.DNSName(name) for name in names),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
    ]
    leaf = (
        certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server of a test")]), key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    files = directory / "authority.pem", directory / "certificate.pem", directory / "key.pem"
    files[0].write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    files[2].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    files[2].chmod(0o600)
    return files
