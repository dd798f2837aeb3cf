"""Google's own Python client drives the fake, so that its behaviour is tested and not our belief.

    google_client.py ENDPOINT

ENDPOINT is a fake that is empty; GCE_METADATA_HOST names it too. Prints a line for each thing tried; any error ends it.
"""

import hashlib
import json
import sys
import time
import urllib.request

import google_crc32c
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from google.api_core import exceptions
from google.auth import compute_engine, impersonated_credentials
from google.auth.credentials import AnonymousCredentials
from google.cloud import kms
from google.oauth2 import service_account
from google.protobuf import duration_pb2, field_mask_pb2

ENDPOINT = sys.argv[1]
LOCATION = "projects/p/locations/europe-west3"
MESSAGE = b"message"

Algorithm = kms.CryptoKeyVersion.CryptoKeyVersionAlgorithm
State = kms.CryptoKeyVersion.CryptoKeyVersionState
Level = kms.ProtectionLevel
SIGN = kms.CryptoKey.CryptoKeyPurpose.ASYMMETRIC_SIGN

client = kms.KeyManagementServiceClient(
    credentials=AnonymousCredentials(), transport="rest", client_options={"api_endpoint": ENDPOINT}
)


def crc32c(octets):
    return int.from_bytes(google_crc32c.Checksum(octets).digest(), "big")


def control(verb, path, body):
    request = urllib.request.Request(f"{ENDPOINT}/fake/{path}", json.dumps(body).encode(), method=verb)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def refused(status, call, *words):
    """The call is refused with this canonical code, in a message that has these words."""
    try:
        call()
    except exceptions.GoogleAPICallError as found:
        assert found.response.json()["error"]["status"] == status, found
        assert all(word in found.message for word in words), found.message
        return found
    raise AssertionError(f"not refused: {status}")


def create_key(ring, key_id, algorithm, level=Level.SOFTWARE, skip=False, **fields):
    template = kms.CryptoKeyVersionTemplate(algorithm=algorithm, protection_level=level)
    key = kms.CryptoKey(purpose=SIGN, version_template=template, **fields)
    return client.create_crypto_key(
        request={"parent": ring, "crypto_key_id": key_id, "crypto_key": key, "skip_initial_version_creation": skip}
    )


def enabled(version):
    """Asks until the version is no longer being made."""
    for _ in range(6000):
        found = client.get_crypto_key_version(name=version)
        if found.state != State.PENDING_GENERATION:
            assert found.state == State.ENABLED
            return found
        time.sleep(0.01)
    raise AssertionError(f"{version} is never made")


def new_version(ring, key_id, algorithm, level=Level.SOFTWARE, **fields):
    version = create_key(ring, key_id, algorithm, level, **fields).name + "/cryptoKeyVersions/1"
    enabled(version)
    return version


def set_state(version, state):
    return client.update_crypto_key_version(
        crypto_key_version=kms.CryptoKeyVersion(name=version, state=state),
        update_mask=field_mask_pb2.FieldMask(paths=["state"]),
    )


def sign_digest(version, kind, digest, checksum=None):
    checksum = crc32c(digest) if checksum is None else checksum
    return client.asymmetric_sign(
        request={"name": version, "digest": {kind: digest}, "digest_crc32c": checksum}
    )


def sign_data(version, data, checksum=None):
    checksum = crc32c(data) if checksum is None else checksum
    return client.asymmetric_sign(request={"name": version, "data": data, "data_crc32c": checksum})


def check_signed(answer, version, level, digest):
    assert answer.name == version
    assert answer.protection_level == level
    assert answer.signature_crc32c == crc32c(answer.signature)
    assert answer.verified_digest_crc32c == digest
    assert answer.verified_data_crc32c != digest


def key_of_pem(version):
    answer = client.get_public_key(name=version)
    assert answer.name == version
    assert answer.pem_crc32c == crc32c(answer.pem.encode())
    return serialization.load_pem_public_key(answer.pem.encode())


def raw_key(version):
    answer = client.get_public_key(
        request={"name": version, "public_key_format": kms.PublicKey.PublicKeyFormat.NIST_PQC}
    )
    assert answer.public_key_format == kms.PublicKey.PublicKeyFormat.NIST_PQC
    assert answer.public_key.crc32c_checksum == crc32c(answer.public_key.data)
    assert not answer.pem
    return answer.public_key.data


def rings_are_made_found_and_listed():
    ring = client.create_key_ring(parent=LOCATION, key_ring_id="ring-b", key_ring={})
    assert ring.name == f"{LOCATION}/keyRings/ring-b"
    assert client.get_key_ring(name=ring.name).create_time == ring.create_time
    client.create_key_ring(parent=LOCATION, key_ring_id="ring-a", key_ring={})
    names = [ring.name.rsplit("/", 1)[1] for ring in client.list_key_rings(parent=LOCATION)]
    assert names == ["ring-a", "ring-b"], names
    create = lambda parent, key_ring_id: client.create_key_ring(parent=parent, key_ring_id=key_ring_id, key_ring={})
    refused("ALREADY_EXISTS", lambda: create(LOCATION, "ring-a"), "already exists")
    refused("INVALID_ARGUMENT", lambda: create(LOCATION, "&ring"), "[a-zA-Z0-9_-]{1,63}")
    refused("NOT_FOUND", lambda: create("projects/p/locations/moon", "ring"), "moon")
    refused("NOT_FOUND", lambda: client.get_key_ring(name=f"{LOCATION}/keyRings/none"), "none")
    locations = client.list_locations({"name": "projects/p"}).locations
    assert "europe-west3" in [location.location_id for location in locations]


def keys_have_labels_and_a_template(ring):
    labels = {"team": "alpha", "generation": "1"}
    day = duration_pb2.Duration(seconds=86400)
    key = create_key(
        ring, "key", Algorithm.EC_SIGN_P384_SHA384, Level.HSM, labels=labels, destroy_scheduled_duration=day
    )
    found = client.get_crypto_key(name=key.name)
    assert found == key
    assert dict(found.labels) == labels
    assert found.purpose == SIGN
    assert found.version_template.algorithm == Algorithm.EC_SIGN_P384_SHA384
    assert found.version_template.protection_level == Level.HSM
    assert found.destroy_scheduled_duration.total_seconds() == 86400
    refused("ALREADY_EXISTS", lambda: create_key(ring, "key", Algorithm.EC_SIGN_P256_SHA256))
    refused("INVALID_ARGUMENT", lambda: create_key(ring, "none", 0), "algorithm")
    refused("INVALID_ARGUMENT", lambda: create_key(ring, "none", Algorithm.GOOGLE_SYMMETRIC_ENCRYPTION))
    bad = {"Team": "alpha"}
    refused("INVALID_ARGUMENT", lambda: create_key(ring, "none", Algorithm.EC_SIGN_P256_SHA256, labels=bad))
    changed = client.update_crypto_key(
        crypto_key=kms.CryptoKey(name=key.name, labels={"team": "beta"}),
        update_mask=field_mask_pb2.FieldMask(paths=["labels"]),
    )
    assert dict(changed.labels) == {"team": "beta"}
    refused("INVALID_ARGUMENT", lambda: client.update_crypto_key(crypto_key=changed), "update_mask")


def lists_are_sorted_paged_and_filtered(ring):
    for number in range(5):
        labels = {"team": "alpha" if number % 2 else "beta"}
        create_key(ring, f"listed-{4 - number}", Algorithm.EC_SIGN_P256_SHA256, skip=True, labels=labels)
    listed = [key.name for key in client.list_crypto_keys(request={"parent": ring, "page_size": 2})]
    assert len(listed) == 5 and listed == sorted(listed), listed
    page = next(client.list_crypto_keys(request={"parent": ring, "page_size": 2}).pages)
    assert len(page.crypto_keys) == 2 and page.next_page_token and page.total_size == 5
    filtered = client.list_crypto_keys(request={"parent": ring, "filter": "labels.team=alpha"})
    assert [key.name[-1] for key in filtered] == ["1", "3"]
    wrong = lambda: client.list_crypto_keys(request={"parent": ring, "filter": "labels.team="})
    refused("INVALID_ARGUMENT", wrong, "filter")
    wrong = lambda: client.list_crypto_keys(request={"parent": ring, "page_token": "?"})
    refused("INVALID_ARGUMENT", wrong, "page_token")


def versions_are_numbered_and_live_as_documented(ring):
    key = create_key(ring, "lives", Algorithm.EC_SIGN_P256_SHA256, Level.HSM, skip=True)
    assert list(client.list_crypto_key_versions(parent=key.name)) == []
    make = lambda: client.create_crypto_key_version(parent=key.name, crypto_key_version={})
    versions = [make() for _ in range(2)]
    assert [version.name.rsplit("/", 1)[1] for version in versions] == ["1", "2"]
    assert all(version.state == State.PENDING_GENERATION for version in versions)
    digest = hashlib.sha256(MESSAGE).digest()
    first, second = (version.name for version in versions)
    refused("FAILED_PRECONDITION", lambda: sign_digest(first, "sha256", digest), "PENDING_GENERATION")
    found = enabled(first)
    assert found.generate_time and found.attestation.content and not found.import_job
    enabled(second)

    assert set_state(first, State.DISABLED).state == State.DISABLED
    refused("FAILED_PRECONDITION", lambda: sign_digest(first, "sha256", digest), "DISABLED")
    refused("FAILED_PRECONDITION", lambda: client.get_public_key(name=first), "DISABLED")
    by_state = client.list_crypto_key_versions(request={"parent": key.name, "filter": "state=ENABLED"})
    assert [version.name for version in by_state] == [second]
    assert set_state(first, State.ENABLED).state == State.ENABLED
    sign_digest(first, "sha256", digest)
    refused("INVALID_ARGUMENT", lambda: set_state(first, State.DESTROYED))

    scheduled = client.destroy_crypto_key_version(name=first)
    assert scheduled.state == State.DESTROY_SCHEDULED
    assert (scheduled.destroy_time - scheduled.create_time).days == 30
    refused("FAILED_PRECONDITION", lambda: client.destroy_crypto_key_version(name=first))
    refused("FAILED_PRECONDITION", lambda: set_state(first, State.ENABLED))
    assert client.restore_crypto_key_version(name=first).state == State.DISABLED
    client.destroy_crypto_key_version(name=first)
    control("POST", "clock", {"secs": 31 * 86400, "nanos": 0})
    destroyed = client.get_crypto_key_version(name=first)
    assert destroyed.state == State.DESTROYED and destroyed.destroy_event_time
    refused("FAILED_PRECONDITION", lambda: client.restore_crypto_key_version(name=first))
    refused("FAILED_PRECONDITION", lambda: sign_digest(first, "sha256", digest), "DESTROYED")
    none = lambda: client.get_crypto_key_version(name=f"{key.name}/cryptoKeyVersions/9")
    refused("NOT_FOUND", none, "not found")


def ecdsa_signs_digests_and_data(ring):
    for name, kind, level in (("256", "sha256", Level.SOFTWARE), ("384", "sha384", Level.HSM)):
        algorithm = Algorithm[f"EC_SIGN_P{name}_SHA{name}"]
        version = new_version(ring, f"ec-{name}", algorithm, level)
        digest = hashlib.new(kind, MESSAGE).digest()
        answer = sign_digest(version, kind, digest)
        check_signed(answer, version, level, True)
        hashed = {"256": hashes.SHA256(), "384": hashes.SHA384()}[name]
        key_of_pem(version).verify(answer.signature, digest, ec.ECDSA(Prehashed(hashed)))
        answer = sign_data(version, MESSAGE)
        check_signed(answer, version, level, False)
        key_of_pem(version).verify(answer.signature, MESSAGE, ec.ECDSA(hashed))


def ed25519_signs_data(ring):
    version = new_version(ring, "ed25519", Algorithm.EC_SIGN_ED25519)
    answer = sign_data(version, MESSAGE)
    check_signed(answer, version, Level.SOFTWARE, False)
    key = key_of_pem(version)
    assert isinstance(key, ed25519.Ed25519PublicKey)
    key.verify(answer.signature, MESSAGE)
    refused("INVALID_ARGUMENT", lambda: sign_digest(version, "sha512", bytes(64)))
    sign_data(version, bytes(65536))
    refused("INVALID_ARGUMENT", lambda: sign_data(version, bytes(65537)), "65536")


def rsa_signs_digests(ring):
    for size, bits in ((2048, 256), (3072, 256), (4096, 512)):
        hashed, kind = {256: (hashes.SHA256(), "sha256"), 512: (hashes.SHA512(), "sha512")}[bits]
        digest = hashlib.new(kind, MESSAGE).digest()
        pss = padding.PSS(padding.MGF1(hashed), hashed.digest_size)
        for scheme, used in (("PKCS1", padding.PKCS1v15()), ("PSS", pss)):
            algorithm = Algorithm[f"RSA_SIGN_{scheme}_{size}_SHA{bits}"]
            version = new_version(ring, f"rsa-{scheme}-{size}", algorithm, Level.HSM)
            answer = sign_digest(version, kind, digest)
            check_signed(answer, version, Level.HSM, True)
            key = key_of_pem(version)
            assert isinstance(key, rsa.RSAPublicKey) and key.key_size == size
            key.verify(answer.signature, digest, used, Prehashed(hashed))


def ml_dsa_signs_data_or_mu(ring):
    for name, kind in (("65", mldsa.MLDSA65PublicKey), ("87", mldsa.MLDSA87PublicKey)):
        version = new_version(ring, f"ml-dsa-{name}", Algorithm[f"PQ_SIGN_ML_DSA_{name}"])
        answer = sign_data(version, MESSAGE)
        check_signed(answer, version, Level.SOFTWARE, False)
        kind.from_public_bytes(raw_key(version)).verify(answer.signature, MESSAGE)
        refused("INVALID_ARGUMENT", lambda: client.get_public_key(name=version), "NIST_PQC")

        version = new_version(ring, f"ml-dsa-{name}-mu", Algorithm[f"PQ_SIGN_ML_DSA_{name}_EXTERNAL_MU"])
        key = raw_key(version)
        message = hashlib.shake_256(key).digest(64) + bytes(2) + MESSAGE
        answer = sign_digest(version, "external_mu", hashlib.shake_256(message).digest(64))
        check_signed(answer, version, Level.SOFTWARE, True)
        kind.from_public_bytes(key).verify(answer.signature, MESSAGE)
        refused("INVALID_ARGUMENT", lambda: sign_data(version, MESSAGE))
    hsm = lambda: create_key(ring, "ml-dsa-hsm", Algorithm.PQ_SIGN_ML_DSA_65, Level.HSM)
    refused("INVALID_ARGUMENT", hsm, "HSM")


def requests_are_checked(ring):
    version = new_version(ring, "checked", Algorithm.EC_SIGN_P384_SHA384)
    digest = hashlib.sha384(MESSAGE).digest()
    unchecked = client.asymmetric_sign(name=version, digest={"sha384": digest})
    assert not unchecked.verified_digest_crc32c and not unchecked.verified_data_crc32c
    wrong = lambda: sign_digest(version, "sha384", digest, crc32c(digest) ^ 1)
    refused("INVALID_ARGUMENT", wrong, "digest_crc32c")
    refused("INVALID_ARGUMENT", lambda: sign_digest(version, "sha384", digest, 0), "digest_crc32c")
    refused("INVALID_ARGUMENT", lambda: sign_data(version, MESSAGE, 0), "data_crc32c")
    refused("INVALID_ARGUMENT", lambda: sign_digest(version, "sha256", digest[:32]))
    refused("INVALID_ARGUMENT", lambda: sign_digest(version, "sha384", digest[:32]))
    both = {"name": version, "digest": {"sha384": digest}, "data": MESSAGE}
    refused("INVALID_ARGUMENT", lambda: client.asymmetric_sign(request=both))
    refused("INVALID_ARGUMENT", lambda: client.asymmetric_sign(name=version, digest={}))


def other_purposes_do_not_sign(ring):
    key = kms.CryptoKey(purpose=kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT)
    made = client.create_crypto_key(parent=ring, crypto_key_id="encrypts", crypto_key=key)
    assert made.primary.state == State.ENABLED
    digest = hashlib.sha256(MESSAGE).digest()
    refused("FAILED_PRECONDITION", lambda: sign_digest(made.primary.name, "sha256", digest))
    refused("FAILED_PRECONDITION", lambda: client.get_public_key(name=made.primary.name))


def errors_are_googles(ring):
    version = new_version(ring, "errors", Algorithm.EC_SIGN_P256_SHA256)
    digest = hashlib.sha256(MESSAGE).digest()
    sign = lambda: client.asymmetric_sign(name=version, digest={"sha256": digest}, retry=None)

    def rule(effect):
        control("POST", "rules", {"on": {"method": "AsymmetricSign"}, "when": {"First": 1}, "effect": effect})

    def refuse(code, delay=None):
        rule({"Refuse": {"code": code, "retry_delay": delay}})

    for status, kind in (
        ("UNAVAILABLE", exceptions.ServiceUnavailable),
        ("DEADLINE_EXCEEDED", exceptions.GatewayTimeout),
        ("INTERNAL", exceptions.InternalServerError),
    ):
        refuse(status)
        assert isinstance(refused(status, sign), kind)
    refuse("RESOURCE_EXHAUSTED", {"secs": 1, "nanos": 500_000_000})
    exhausted = refused("RESOURCE_EXHAUSTED", sign, "Quota exceeded")
    assert exhausted.details[0]["retryDelay"] == "1.5s", exhausted.details
    refuse("PERMISSION_DENIED")
    denied = refused("PERMISSION_DENIED", sign, "cloudkms.cryptoKeyVersions.useToSign", "(or it may not exist)")
    assert denied.reason == "IAM_PERMISSION_DENIED"
    assert denied.metadata["resource"] == version.split("/cryptoKeyVersions/")[0]
    rule({"Tamper": {"Checksum": "Other"}})
    answer = sign()
    assert answer.signature_crc32c != crc32c(answer.signature)
    check = sign()
    assert check.signature_crc32c == crc32c(check.signature)


def accounts_call_under_their_names(ring):
    version = new_version(ring, "accounts", Algorithm.EC_SIGN_P256_SHA256)
    machine = compute_engine.Credentials()
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    info = {"client_email": "ca@p.iam.gserviceaccount.com", "private_key": pem.decode(), "token_uri": ENDPOINT}
    account = service_account.Credentials.from_service_account_info(info)
    root = "root@p.iam.gserviceaccount.com"
    impersonated = impersonated_credentials.Credentials(
        machine,
        root,
        ["https://www.googleapis.com/auth/cloudkms"],
        iam_endpoint_override=f"{ENDPOINT}/v1/projects/-/serviceAccounts/{root}:generateAccessToken",
    )
    for credentials in (machine, account, impersonated):
        own = kms.KeyManagementServiceClient(
            credentials=credentials, transport="rest", client_options={"api_endpoint": ENDPOINT}
        )
        own.get_crypto_key_version(name=version)
    with urllib.request.urlopen(f"{ENDPOINT}/fake/calls", timeout=30) as answer:
        callers = [call["caller"] for call in json.load(answer)[-3:]]
    assert callers == ["machine@p.iam.gserviceaccount.com", info["client_email"], root], callers


def bindings_are_kept(ring):
    version = new_version(ring, "bound", Algorithm.EC_SIGN_P256_SHA256)
    signer = {"caller": None, "grant": {"Role": "roles/cloudkms.signer"}, "resource": ring}
    control("POST", "bindings", signer)
    sign_digest(version, "sha256", hashlib.sha256(MESSAGE).digest())
    view = "cloudkms.cryptoKeyVersions.viewPublicKey"
    refused("PERMISSION_DENIED", lambda: client.get_public_key(name=version), view, version)
    get = "cloudkms.cryptoKeyVersions.get"
    refused("PERMISSION_DENIED", lambda: client.get_crypto_key_version(name=version), get)
    control("POST", "bindings", {"caller": None, "grant": {"Permissions": [view]}, "resource": version.split("/c")[0]})
    client.get_public_key(name=version)


def try_all():
    made = lambda name: client.create_key_ring(parent=LOCATION, key_ring_id=name, key_ring={}).name
    rings_are_made_found_and_listed()
    for test in (
        keys_have_labels_and_a_template,
        lists_are_sorted_paged_and_filtered,
        versions_are_numbered_and_live_as_documented,
        ecdsa_signs_digests_and_data,
        ed25519_signs_data,
        rsa_signs_digests,
        ml_dsa_signs_data_or_mu,
        requests_are_checked,
        other_purposes_do_not_sign,
        errors_are_googles,
        accounts_call_under_their_names,
        # The last: from here on not everything is allowed.
        bindings_are_kept,
    ):
        test(made(test.__name__))
        print(test.__name__)


try_all()
