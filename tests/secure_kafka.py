"""A broker that asks who is there: certificates made here, SASL_SSL and mutual TLS, and an authorizer."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from monitor.servers import KafkaServer, free_ports

SECURITY = Path(__file__).parents[1] / "SECURITY.md"


class Authority:
    """Signs certificates; `file` is its own."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._sign(self._name, self._key, authority=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """The files of a certificate for this machine, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate, secret = self.folder / f"{name}.cert.pem", self.folder / f"{name}.key.pem"
        signed = self._sign(subject, key, authority=False)
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, secret

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    key_cert_sign=authority,
                    crl_sign=authority,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .sign(self._key, hashes.SHA256())
        )


class SecureKafka:
    """A broker with three doors: open to this test alone, by password over TLS, by certificate.

    Whoever comes in by the open one is its administrator. All others may do what they were granted.

    Attributes
    ----------
    passwords
        By user; known for PLAIN and for SCRAM-SHA-512 alike.
    """

    def __init__(self, folder: Path, passwords: Mapping[str, str]) -> None:
        self.passwords = dict(passwords)
        self.authority = Authority(folder / "authority", "authority")
        certificate, key = self.authority.issue("broker")
        store = folder / "broker.pem"
        store.write_bytes(key.read_bytes() + certificate.read_bytes())
        open_, controller, sasl, tls = free_ports(4)
        users = " ".join(f'user_{name}="{word}"' for name, word in passwords.items())
        plain, scram = "org.apache.kafka.common.security.plain", "org.apache.kafka.common.security"
        listeners = (
            f"PLAINTEXT://127.0.0.1:{open_},SASL_SSL://127.0.0.1:{sasl},SSL://127.0.0.1:{tls}"
        )
        self.server = KafkaServer(
            folder / "kafka",
            port=open_,
            properties={
                "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
                "advertised.listeners": listeners,
                "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
                "listener.security.protocol.map": (
                    "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL"
                ),
                "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
                "listener.name.sasl_ssl.plain.sasl.jaas.config": (
                    f"{plain}.PlainLoginModule required {users};"
                ),
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                    f"{scram}.scram.ScramLoginModule required;"
                ),
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(store),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(self.authority.file),
                "listener.name.ssl.ssl.client.auth": "required",
                "listener.name.ssl.ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
                "authorizer.class.name": (
                    "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
                ),
                "super.users": "User:ANONYMOUS",
            },
        )
        self.admin = AdminClient({"bootstrap.servers": self.server.bootstrap})
        self.by_password, self.by_certificate = f"127.0.0.1:{sasl}", f"127.0.0.1:{tls}"

    def grant(self, acls: list[AclBinding]) -> None:
        for granted in self.admin.create_acls(acls).values():
            granted.result(timeout=30)

    def start(self) -> None:
        self.server.start()
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        changes = [
            UserScramCredentialUpsertion(name, scram, word.encode())
            for name, word in self.passwords.items()
        ]
        for changed in self.admin.alter_user_scram_credentials(changes).values():
            changed.result(timeout=30)

    # ----------------------------------------------------------------------------- ways to come in

    def with_password(self, user: str, mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
        """The MONITOR_* variables of a user who comes by password."""
        return {
            "MONITOR_KAFKA__BOOTSTRAP": self.by_password,
            "MONITOR_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "MONITOR_KAFKA__SASL_MECHANISM": mechanism,
            "MONITOR_KAFKA__SASL_USERNAME": user,
            "MONITOR_KAFKA__SASL_PASSWORD": self.passwords[user],
            "MONITOR_KAFKA__SSL_CA": str(self.authority.file),
        }

    def with_certificate(self, user: str) -> dict[str, str]:
        """The MONITOR_* variables of a user who comes by certificate."""
        certificate, key = self.authority.issue(user)
        return {
            "MONITOR_KAFKA__BOOTSTRAP": self.by_certificate,
            "MONITOR_KAFKA__SECURITY_PROTOCOL": "SSL",
            "MONITOR_KAFKA__SSL_CA": str(self.authority.file),
            "MONITOR_KAFKA__SSL_CERT": str(certificate),
            "MONITOR_KAFKA__SSL_KEY": str(key),
        }


def documented_acls(role: str) -> Iterator[AclBinding]:
    """What the table in SECURITY.md grants a role; its user is called like the role."""
    kinds = {
        "topic": ResourceType.TOPIC,
        "group": ResourceType.GROUP,
        "transactional id": ResourceType.TRANSACTIONAL_ID,
    }
    for row in SECURITY.read_text().splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if cells[0] != role or len(cells) != 4:
            continue
        _, kind, names, operations = cells
        for name in re.findall(r"`([^`]+)`", names):
            pattern = (
                ResourcePatternType.PREFIXED
                if name.endswith("*")
                else (ResourcePatternType.LITERAL)
            )
            for operation in operations.split(", "):
                yield AclBinding(
                    kinds[kind],
                    name.rstrip("*"),
                    pattern,
                    f"User:{role}",
                    "*",
                    AclOperation[operation.upper()],
                    AclPermissionType.ALLOW,
                )
