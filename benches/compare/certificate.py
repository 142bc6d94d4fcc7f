"""The certificate of every TLS listener: made for one run."""

import subprocess
from pathlib import Path

from tokens import private

DAYS = 2


class Certificate:
    """An ECDSA key on P-256 and a certificate that it signs itself. Load generators do not verify it."""

    def __init__(self, folder: Path) -> None:
        self.chain, self.key, self.both = (folder / name for name in ("front.crt", "front.key", "front.pem"))
        with private(self.key):
            pass
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(self.key)]
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        command = ["openssl", "req", "-x509", *key, "-out", str(self.chain), "-days", str(DAYS), *names]
        subprocess.run(command, check=True, capture_output=True)
        with private(self.both) as out:
            out.write(self.chain.read_text() + self.key.read_text())
