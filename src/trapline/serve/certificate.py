"""Certificates: one for each persona and host name, made once, kept for ever.

They look like what the imitated server has when nobody cared: Debian's ``ssl-cert``
makes CN = host name, self-signed, ten years; the persona's ``certificate`` table says so.

Keys of that table: ``subject`` and ``issuer`` (``"CN={host},O=Example"``; issuer ``self``
signs with its own key), ``key`` (``rsa2048``, ``rsa4096``, ``ec256``), ``days``, ``names``
(subject alternative names, ``"{host}"`` with spaces between, or ``none``), ``age`` (days
since it was made, at most).

Must not be in here: TLS itself (``tls``).
"""

import datetime as dt
import os
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from trapline.persona import Identity, Persona

DEFAULTS: Final = {
    "subject": "CN={host}",
    "issuer": "self",
    "key": "rsa2048",
    "days": "3650",
    "names": "{host}",
    "age": "300",
}
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_ATTRIBUTES: Final = {
    "CN": NameOID.COMMON_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "EMAIL": NameOID.EMAIL_ADDRESS,
}


def ensure(folder: Path, persona: Persona, identity: Identity) -> Path:
    """Return the file with key and certificate; the first call makes it."""
    mark = identity.digest("certificate", persona.name, identity.host).hex()[:12]
    file = folder / f"certificate-{mark}.pem"
    if not file.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _keep(file, made(persona, identity))
    return file


def made(persona: Persona, identity: Identity) -> bytes:
    """Make a key and a certificate as the persona has them, in PEM."""
    looks = DEFAULTS | persona.certificate
    key = _key(looks["key"])
    signing = key if looks["issuer"] == "self" else _key(looks["key"])
    certificate = _signed(looks, identity, key, signing)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def _signed(
    looks: dict[str, str], identity: Identity, key: Key, signing: Key
) -> x509.Certificate:
    """Fill in the certificate and sign it."""
    stable = identity.digest("certificate-numbers")
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    # Nobody's server was set up this very minute; the seed says when ours was.
    age = int.from_bytes(stable[:4], "big") % max(1, int(looks["age"]) * 86_400)
    since = now - dt.timedelta(seconds=age)
    subject = _name(looks["subject"], identity.host)
    issuer = subject if signing is key else _name(looks["issuer"], identity.host)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(stable[4:24], "big") >> 1)
        .not_valid_before(since)
        .not_valid_after(since + dt.timedelta(days=int(looks["days"])))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
    )
    names = (
        [] if looks["names"] == "none" else looks["names"].format(host=identity.host).split()
    )
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternative, critical=False)
    return builder.sign(signing, hashes.SHA256())


def _key(sort: str) -> Key:
    if sort == "ec256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65_537, int(sort.removeprefix("rsa")))


def _name(text: str, host: str) -> x509.Name:
    """Read ``CN={host},O=Example``."""
    pairs = [part.partition("=") for part in text.split(",")]
    return x509.Name(
        [
            x509.NameAttribute(_ATTRIBUTES[kind.strip()], value.strip().format(host=host)[:64])
            for kind, _, value in pairs
        ]
    )


def _keep(file: Path, octets: bytes) -> None:
    """Write a secret whole or not at all."""
    new = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(octets)
        out.flush()
        os.fsync(out.fileno())
    new.rename(file)
