"""Keys and tokens: made for one run, the same for every proxy."""

import base64
import ctypes
import ctypes.util
import hashlib
import hmac
import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ISSUER = "https://gw"
AUDIENCE = "api"
SUBJECT = "acct_64b1f0c2a7d9e83b52"
ROLE = "ADMIN"
SCOPE = "read write"
LIFETIME_SECONDS = 86_400

HMAC_KEY_BYTES = 32
"""Of hexadecimal digits, so that it can stand in any proxy's config."""

SIGNATURE_BYTES_MAX = 512

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")

_OPENSSL_ALGORITHM = {
    "RS256": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "EdDSA": ["-algorithm", "ED25519"],
}


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True)
class Key:
    """One signing key. `file` is what a verifier is given: a public key in PEM, or the secret itself."""

    algorithm: str
    kid: str
    file: Path
    sign: Callable[[bytes], bytes]

    def token(self, jti: str, seconds: int = LIFETIME_SECONDS) -> str:
        """A token that ends in so many seconds; it ended before now when they are negative."""
        now = int(time.time())
        begin = min(now, now + seconds - 1)
        head = {"alg": self.algorithm, "typ": "JWT", "kid": self.kid}
        claims = {
            "sub": SUBJECT,
            "iss": ISSUER,
            "aud": AUDIENCE,
            "role": ROLE,
            "scope": SCOPE,
            "iat": begin,
            "nbf": begin,
            "exp": now + seconds,
            "jti": jti,
        }
        signed = ".".join(b64(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
        return f"{signed}.{b64(self.sign(signed.encode()))}"

    def tokens(self, count: int) -> Iterator[str]:
        """So many different ones."""
        return (self.token(str(uuid.UUID(int=at))) for at in range(1, count + 1))


class Keys:
    """A key of each algorithm, in files that nobody else reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_algorithm = {
            "HS256": self._hmac(),
            **{algorithm: self._asymmetric(algorithm) for algorithm in _OPENSSL_ALGORITHM},
        }

    def __getitem__(self, algorithm: str) -> Key:
        return self._by_algorithm[algorithm]

    def hot(self, algorithm: str) -> Path:
        """A file with one token."""
        return self.file(f"hot-{algorithm}", [self[algorithm].token("b331336a-46f4-4fe4-a850-3208bfc2c398")])

    def file(self, name: str, tokens: Iterable[str]) -> Path:
        """Writes tokens into a file, one a line."""
        path = self._folder / f"{name}.tokens"
        with private(path) as out:
            out.writelines(f"{token}\n" for token in tokens)
        return path

    def rsa_modulus(self) -> bytes:
        """For a JWK."""
        command = ["openssl", "rsa", "-pubin", "-in", str(self["RS256"].file), "-noout", "-modulus"]
        return bytes.fromhex(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().split("=")[1]
        )

    def _hmac(self) -> Key:
        secret = uuid.uuid4().hex.encode()
        assert len(secret) == HMAC_KEY_BYTES
        path = self._folder / "hs256.key"
        with private(path) as out:
            out.write(secret.decode())
        return Key("HS256", "hs", path, lambda data: hmac.digest(secret, data, hashlib.sha256))

    def _asymmetric(self, algorithm: str) -> Key:
        secret, public = self._folder / f"{algorithm}.key", self._folder / f"{algorithm}.pem"
        with private(secret) as out:
            subprocess.run(
                ["openssl", "genpkey", *_OPENSSL_ALGORITHM[algorithm]],
                check=True,
                stdout=out,
                stderr=subprocess.DEVNULL,
            )
        subprocess.run(
            ["openssl", "pkey", "-in", str(secret), "-pubout", "-out", str(public)], check=True, capture_output=True
        )
        sign = libcrypto_signer(secret.read_bytes(), None if algorithm == "EdDSA" else "sha256")
        raw = (lambda data: raw_ecdsa(sign(data))) if algorithm == "ES256" else sign
        return Key(algorithm, algorithm[:2].lower(), public, raw)


def private(path: Path) -> IO[str]:
    """Opens a new file that nobody else may read."""
    path.touch(mode=0o600)
    return path.open("w")


def raw_ecdsa(der: bytes) -> bytes:
    """The two numbers of an ECDSA signature as JWS wants them (RFC 7518 section 3.4), 32 octets each."""
    numbers, at = [], 2
    for _ in range(2):
        length = der[at + 1]
        numbers.append(int.from_bytes(der[at + 2 : at + 2 + length]))
        at += 2 + length
    return b"".join(number.to_bytes(32) for number in numbers)


def libcrypto_signer(pem: bytes, digest: str | None) -> Callable[[bytes], bytes]:
    """Signs with OpenSSL's library: its command would be started for each of 20,000 tokens.

    Python's own numbers take 13 ms for a signature of RSA.
    """
    name = ctypes.util.find_library("crypto")
    if name is None:
        raise SystemExit("compare: OpenSSL's libcrypto is missing")
    crypto = ctypes.CDLL(name)
    for function in ("BIO_new_mem_buf", "PEM_read_bio_PrivateKey", "EVP_MD_CTX_new", "EVP_get_digestbyname"):
        getattr(crypto, function).restype = ctypes.c_void_p
    bio = ctypes.c_void_p(crypto.BIO_new_mem_buf(pem, len(pem)))
    key = ctypes.c_void_p(crypto.PEM_read_bio_PrivateKey(bio, None, None, None))
    crypto.BIO_free(bio)
    method = ctypes.c_void_p(crypto.EVP_get_digestbyname(digest.encode()) if digest else None)
    context = ctypes.c_void_p(crypto.EVP_MD_CTX_new())

    def sign(data: bytes) -> bytes:
        signature = ctypes.create_string_buffer(SIGNATURE_BYTES_MAX)
        length = ctypes.c_size_t(SIGNATURE_BYTES_MAX)
        crypto.EVP_MD_CTX_reset(context)
        if crypto.EVP_DigestSignInit(context, None, method, None, key) != 1:
            raise RuntimeError("EVP_DigestSignInit failed")
        if crypto.EVP_DigestSign(context, signature, ctypes.byref(length), data, ctypes.c_size_t(len(data))) != 1:
            raise RuntimeError("EVP_DigestSign failed")
        return signature.raw[: length.value]

    return sign
