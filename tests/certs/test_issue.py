from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from certs.authority import SKEW, Pair, key_usage, name_of, new_authority
from certs.folder import write_pair
from certs.issue import client_certificate, server_certificate
from worker.errors import BadConfig
from worker.rpc.role import Role

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def authority() -> Pair:
    return new_authority(NOW)


@pytest.mark.parametrize(
    ("purpose", "name"), [("sslserver", "server"), ("sslclient", "full"), ("sslclient", "norole")]
)
def test_openssl_finds_nothing_to_object_to(certificates: Path, purpose: str, name: str) -> None:
    verify = (
        *("openssl", "verify", "-x509_strict", "-check_ss_sig", "-purpose", purpose),
        *("-CAfile", certificates / "ca.pem", certificates / f"{name}.pem"),
    )
    printed = subprocess.run(verify, check=True, capture_output=True, text=True).stdout
    assert printed.endswith(": OK\n")


@pytest.mark.parametrize(
    ("purpose", "name"), [("sslclient", "server"), ("sslserver", "full"), ("sslclient", "ca")]
)
def test_each_is_for_one_purpose(certificates: Path, purpose: str, name: str) -> None:
    verify = (
        *("openssl", "verify", "-x509_strict", "-purpose", purpose),
        *("-CAfile", certificates / "ca.pem", certificates / f"{name}.pem"),
    )
    assert subprocess.run(verify, check=False, capture_output=True).returncode != 0


@pytest.mark.parametrize(
    ("role", "value"), [(Role.FULL, "0c0466756c6c"), (Role.READONLY, "0c08726561646f6e6c79")]
)
def test_openssl_reads_the_role_under_its_number(
    authority: Pair, tmp_path: Path, role: Role, value: str
) -> None:
    write_pair(tmp_path, "ada", client_certificate(authority, "ada", role, now=NOW))
    parse = ("openssl", "asn1parse", "-in", tmp_path / "ada.pem")
    lines = subprocess.run(parse, check=True, capture_output=True, text=True).stdout.splitlines()
    number = next(at for at, line in enumerate(lines) if line.endswith(":1.2.840.10070.8.1"))
    assert lines[number + 1].endswith(f"OCTET STRING      [HEX DUMP]:{value.upper()}")


def test_an_authority_certifies_no_further_one(authority: Pair) -> None:
    extensions = authority.certificate.extensions
    basics = extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basics.critical, basics.value) == (True, x509.BasicConstraints(ca=True, path_length=0))
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert (usage.critical, usage.value) == (True, key_usage("key_cert_sign", "crl_sign"))


def test_a_clients_key_signs_handshakes_and_nothing_else(authority: Pair) -> None:
    certificate = client_certificate(authority, "ada", Role.FULL, now=NOW).certificate
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert (usage.critical, usage.value) == (True, key_usage("digital_signature"))


def test_a_clock_that_is_behind_accepts_it(authority: Pair) -> None:
    for pair in (authority, client_certificate(authority, "ada", Role.FULL, now=NOW)):
        assert pair.certificate.not_valid_before_utc == NOW - SKEW


def test_it_does_not_outlive_its_authority() -> None:
    authority = new_authority(NOW, days=10)
    certificate = client_certificate(authority, "ada", Role.FULL, now=NOW, days=20).certificate
    assert certificate.not_valid_after_utc == NOW + timedelta(days=10)


def test_days_are_what_was_asked_for(authority: Pair) -> None:
    certificate = client_certificate(authority, "ada", Role.FULL, now=NOW, days=20).certificate
    assert certificate.not_valid_after_utc == NOW + timedelta(days=20)


def test_a_server_is_for_all_its_names_and_addresses(authority: Pair) -> None:
    names, addresses = ["a.example", "*.b.example"], [ip_address("192.0.2.1"), ip_address("::1")]
    certificate = server_certificate(authority, names, addresses, now=NOW).certificate
    dialled = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert dialled.get_values_for_type(x509.DNSName) == names
    assert dialled.get_values_for_type(x509.IPAddress) == addresses


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("127.0.0.1", id="an address"),
        pytest.param("::1", id="an address of IPv6"),
        pytest.param("a b", id="a space"),
        pytest.param("a..b", id="an empty label"),
        pytest.param("-a.b", id="a dash in front"),
        pytest.param("a.*.b", id="a star inside"),
        pytest.param("*", id="a star alone"),
        pytest.param("*.local", id="a star and one label"),
        pytest.param("bücher.example", id="beyond ASCII"),
        pytest.param("localhost:5000", id="a port"),
        pytest.param("https://localhost", id="a URL"),
        pytest.param("localhost\n", id="a line feed"),
        pytest.param("a" * 64, id="a label too long"),
    ],
)
def test_what_is_no_host_name_is_refused(authority: Pair, name: str) -> None:
    with pytest.raises(BadConfig, match="is not the name of a host") as caught:
        server_certificate(authority, [name], [], now=NOW)
    assert repr(name) in str(caught.value)


def test_a_server_without_a_name_is_refused(authority: Pair) -> None:
    with pytest.raises(BadConfig, match="needs a name or an address"):
        server_certificate(authority, [], [], now=NOW)


@pytest.mark.parametrize(
    "name", ["", "../ada", "a/b", ".", "..", ".hidden", "-x", "a b", "ada\n", "a\0", "ä", "x" * 65]
)
def test_a_clients_name_is_safe_as_a_files(authority: Pair, name: str) -> None:
    with pytest.raises(BadConfig, match="can't be a client's name"):
        client_certificate(authority, name, Role.FULL, now=NOW)


@pytest.mark.parametrize("name", ["a", "ada.lovelace@example.org", "0-9_x", "x" * 64])
def test_a_clients_name_is_its_subject(authority: Pair, name: str) -> None:
    certificate = client_certificate(authority, name, Role.FULL, now=NOW).certificate
    assert certificate.subject == name_of(name)


def test_no_two_share_a_key_or_a_number(authority: Pair) -> None:
    pairs = [client_certificate(authority, "ada", Role.FULL, now=NOW) for _ in range(5)]
    assert len({pair.certificate.serial_number for pair in pairs}) == len(pairs)
    assert len({pair.key.private_numbers().private_value for pair in pairs}) == len(pairs)


def test_an_authority_without_a_key_identifier_can_issue(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    certificate = (
        x509.CertificateBuilder(name_of("made elsewhere"), name_of("made elsewhere"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - SKEW)
        .not_valid_after(NOW + timedelta(days=10))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(key_usage("key_cert_sign"), critical=True)
        .sign(key, hashes.SHA256())
    )
    elsewhere = Pair(certificate, key)
    write_pair(tmp_path, "ca", elsewhere)
    write_pair(tmp_path, "ada", client_certificate(elsewhere, "ada", Role.FULL, now=NOW))
    verify = ("openssl", "verify", "-CAfile", tmp_path / "ca.pem", tmp_path / "ada.pem")
    subprocess.run(verify, check=True, capture_output=True)
