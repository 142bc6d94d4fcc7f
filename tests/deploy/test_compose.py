"""compose.yaml, and the files that it mounts."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any

import configs
import jsonschema
import yaml
from tools import DEPLOY, ROOT, compose_schema

FILE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
GATEWAYS = [name for name in SERVICES if name.startswith("gateway-")]
CONFIG = configs.read((DEPLOY / "compose" / "gateway.toml").read_text())
USER = "65532:65532"


def address(service: str) -> str:
    return str(SERVICES[service]["networks"]["edge"]["ipv4_address"])


def yaml_of(name: str) -> Any:
    return yaml.safe_load((DEPLOY / "compose" / name).read_text())


class Compose(unittest.TestCase):
    def test_it_is_what_compose_takes(self) -> None:
        # `name` is younger than the schema.
        known = {key: value for key, value in FILE.items() if key != "name"}
        schema = jsonschema.Draft201909Validator(compose_schema())
        self.assertEqual([error.message for error in schema.iter_errors(known)], [])
        # It is not one that takes everything.
        self.assertFalse(schema.is_valid({**known, "services": {"front": {"imag": "haproxy"}}}))

    def test_every_file_that_it_names_is_there(self) -> None:
        for kind in ("configs", "secrets"):
            used = {
                entry["source"] if isinstance(entry, dict) else entry
                for service in SERVICES.values()
                for entry in service.get(kind, [])
            }
            self.assertEqual(used, set(FILE[kind]), kind)
        files = [entry["file"] for entry in FILE["configs"].values()]
        files += [mount.split(":")[0] for mount in SERVICES["front"]["volumes"]]
        files += [SERVICES["gateway-1"]["build"]["dockerfile"].removeprefix("deploy/")]
        for file in files:
            self.assertTrue((DEPLOY / file).is_file(), file)

    def test_its_secrets_are_files_that_are_made_and_never_committed(self) -> None:
        made = {Path(entry["file"]) for entry in FILE["secrets"].values()}
        with tempfile.TemporaryDirectory() as folder:
            script = DEPLOY / "compose" / "make-secrets"
            subprocess.run([script, folder], check=True, capture_output=True)
            secrets = Path(folder)
            self.assertEqual({file.name for file in secrets.iterdir()}, {file.name for file in made})
            before = {file.name: file.read_bytes() for file in secrets.iterdir()}
            subprocess.run([script, folder], check=True, capture_output=True)
            after = {file.name: file.read_bytes() for file in secrets.iterdir()}
            self.assertEqual(after, before, "what is there stays")
            self.assertRegex(before["master.key"].decode(), r"\A[0-9a-f]{64}\n\Z")
            for name in ("master.key", "admin.token", "postgres.password", "postgres.key", "grafana.password"):
                self.assertEqual((secrets / name).stat().st_mode & 0o777, 0o400, name)
            verify = ["openssl", "verify", "-CAfile", "postgres.ca", "-verify_hostname", "postgres", "postgres.crt"]
            subprocess.run(verify, cwd=folder, check=True, capture_output=True)
        ignored = (ROOT / ".gitignore").read_text().splitlines()
        self.assertTrue(all(f"deploy/{file.parent}/" in ignored for file in made), ignored)

    def test_no_secret_stands_in_it(self) -> None:
        for name, service in SERVICES.items():
            for variable, value in service.get("environment", {}).items():
                if re.search("PASSWORD|SECRET|TOKEN|KEY", variable):
                    self.assertRegex(value, r"\A/run/secrets/", f"{name}: {variable}")
        self.assertNotRegex(CONFIG["store"]["url"], r"://[^/@]*:[^/@]*@")

    def test_a_gateway_has_nothing_that_it_does_not_need(self) -> None:
        for name in [*GATEWAYS, "init"]:
            service = SERVICES[name]
            self.assertEqual((service["user"], service["read_only"], service["cap_drop"]), (USER, True, ["ALL"]), name)
            self.assertNotIn("ports", service, name)
        near_the_store = [name for name in SERVICES if "store" in SERVICES[name].get("networks", [])]
        self.assertEqual(near_the_store, [*GATEWAYS, "init", "postgres"])

    def test_the_gateways_are_alike_and_the_front_knows_them(self) -> None:
        self.assertEqual(len(GATEWAYS), 2)
        listen = CONFIG["server"]["listen"][0]
        port = listen["address"].rsplit(":", 1)[1]
        alike = [{key: value for key, value in SERVICES[name].items() if key != "networks"} for name in GATEWAYS]
        self.assertEqual(alike[0], alike[1])
        for at, name in enumerate(GATEWAYS, start=1):
            self.assertEqual(SERVICES["front"]["environment"][f"GATEWAY_{at}"], f"{address(name)}:{port}")
        self.assertTrue(listen["proxy_protocol"])
        self.assertEqual(CONFIG["server"]["trusted_proxies"], [address("front")])
        front = (DEPLOY / "haproxy.cfg").read_text()
        # The default, as nothing else is said.
        admin = CONFIG["admin"]["listen"].rsplit(":", 1)[1]
        self.assertEqual(set(re.findall(r"presetenv GATEWAY_\d_ADMIN_PORT (\d+)", front)), {admin})

    def test_the_config_is_good_and_names_what_is_mounted(self) -> None:
        text = (DEPLOY / "compose" / "gateway.toml").read_text()
        self.assertEqual(configs.problems(text), "")
        mounted = {f"/run/secrets/{name}" for name in SERVICES["gateway-1"]["secrets"]}
        named = set(re.findall(r"/run/secrets/[a-z.]+", text)) | {
            SERVICES["gateway-1"]["environment"]["PORTERO_MASTER_KEY_FILE"]
        }
        self.assertEqual(named, mounted)

    def test_prometheus_asks_every_gateway_and_the_front_under_names_that_they_answer_to(self) -> None:
        jobs = {
            job["job_name"]: job["static_configs"][0]["targets"] for job in yaml_of("prometheus.yml")["scrape_configs"]
        }
        admin = CONFIG["admin"]["listen"].rsplit(":", 1)[1]
        self.assertEqual(jobs["portero"], [f"{name}:{admin}" for name in GATEWAYS])
        self.assertEqual(CONFIG["admin"]["hosts"], GATEWAYS)
        self.assertEqual(jobs["front"], ["front" + SERVICES["front"]["environment"]["FRONT_METRICS"]])
        self.assertEqual(yaml_of("prometheus.yml")["rule_files"], ["alerts.yml"])
        source = yaml_of("grafana/datasource.yml")["datasources"][0]
        self.assertEqual((source["uid"], source["url"]), ("prometheus", "http://prometheus:9090"))
