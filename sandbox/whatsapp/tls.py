"""The test certificate authority and the certificate for WhatsApp's host names."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = ("web.whatsapp.com", "*.whatsapp.com", "*.whatsapp.net", "localhost")
Key = ec.EllipticCurvePrivateKey


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: str, issuer: x509.Name, key: Key, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def new_authority() -> tuple[str, str]:
    """A fresh authority: certificate and private key, both PEM, valid for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = "Sandbox WhatsApp test authority"
    certificate = (
        _builder(name, _name(name), key, 3650)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), _key_text(key)


def server_context(authority_pem: str, authority_key_pem: str) -> ssl.SSLContext:
    """A server context whose certificate, made here and signed by the authority, names HOSTS."""
    authority = x509.load_pem_x509_certificate(authority_pem.encode())
    signer = serialization.load_pem_private_key(authority_key_pem.encode(), None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not of the expected kind")
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in HOSTS]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    certificate = (
        _builder(HOSTS[0], authority.subject, key, 365)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    with tempfile.TemporaryDirectory() as folder:  # the ssl module takes a key from a file only
        path = Path(folder) / "server.pem"
        path.touch(mode=0o600)
        chain = certificate.public_bytes(serialization.Encoding.PEM).decode()
        path.write_text(chain + _key_text(key))
        context.load_cert_chain(path)
    return context


def _key_text(key: Key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
