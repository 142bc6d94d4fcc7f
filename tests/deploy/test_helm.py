"""What helm makes of the chart."""

import json
import platform
import sys
import tempfile
import unittest
from functools import cache
from typing import Any

import configs
import kubernetes_validate
import yaml
from tools import DEPLOY, has_helm, helm

CHART = str(DEPLOY / "helm" / "portero")
VERSIONS = ("1.30", "1.37")
"""The oldest Kubernetes that the chart takes, and the newest whose schemas are here."""

EVERYTHING: dict[str, Any] = {
    "image": {"tag": "1.2.3"},
    "imagePullSecrets": [{"name": "registry"}],
    "autoscaling": {"enabled": True},
    "networkPolicy": {
        "clients": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
        "operators": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
        "egress": [{"ports": [{"protocol": "TCP", "port": 5432}]}],
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "service": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "annotations": {"a": "b"}},
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "gates"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "gates", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "serviceAccountName": "portero",
    "extraEnv": [{"name": "TZ", "value": "UTC"}],
    "extraVolumes": [{"name": "tls", "secret": {"secretName": "tls"}}],
    "extraVolumeMounts": [{"name": "tls", "mountPath": "/run/tls", "readOnly": True}],
}

if not has_helm():
    print(f"tests/deploy: the chart is left out: PyPI has no helm for {platform.machine()}", file=sys.stderr)


@cache
def rendered(values: str = "{}", *arguments: str) -> list[dict[str, Any]]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(values)
        file.flush()
        ran = helm("template", "front", CHART, *arguments, "--values", file.name)
    if ran.returncode != 0:
        raise AssertionError(ran.stderr)
    return [document for document in yaml.safe_load_all(ran.stdout) if document]


def one(documents: list[dict[str, Any]], kind: str, name: str = "front") -> dict[str, Any]:
    found = [it for it in documents if it["kind"] == kind and it["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def pod(documents: list[dict[str, Any]], kind: str, name: str = "front") -> dict[str, Any]:
    return dict(one(documents, kind, name)["spec"]["template"]["spec"])


@unittest.skipUnless(has_helm(), "no helm for this machine")
class Chart(unittest.TestCase):
    def test_helm_finds_nothing_to_say(self) -> None:
        ran = helm("lint", "--strict", CHART)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_all_of_it_is_what_kubernetes_takes(self) -> None:
        for values in ("{}", json.dumps(EVERYTHING)):
            for document in rendered(values) + rendered(values, "--is-upgrade"):
                if document["kind"] == "ServiceMonitor":
                    continue
                for version in VERSIONS:
                    with self.subTest(kind=document["kind"], version=version):
                        kubernetes_validate.validate(document, version, strict=True)

    def test_a_misspelt_value_is_refused(self) -> None:
        ran = helm("template", "front", CHART, "--set", "replica=3")
        self.assertIn("replica", ran.stderr)
        self.assertNotEqual(ran.returncode, 0)

    def test_what_there_is_by_default_and_with_everything(self) -> None:
        common = ["Deployment", "Job", "NetworkPolicy", "PodDisruptionBudget", *2 * ["ConfigMap"], *2 * ["Service"]]
        self.assertEqual(sorted(it["kind"] for it in rendered()), sorted(common))
        everything = rendered(json.dumps(EVERYTHING))
        more = [*common, "HorizontalPodAutoscaler", "ServiceMonitor"]
        self.assertEqual(sorted(it["kind"] for it in everything), sorted(more))
        # It alone says how many there are.
        self.assertNotIn("replicas", one(everything, "Deployment")["spec"])
        self.assertEqual(one(rendered(), "Deployment")["spec"]["replicas"], 2)

    def test_pods_are_no_root_have_no_rights_and_a_root_that_is_read_only(self) -> None:
        for kind, name in (("Deployment", "front"), ("Job", "front-init")):
            spec = pod(rendered(), kind, name)
            self.assertFalse(spec["automountServiceAccountToken"])
            of_pod = spec["securityContext"]
            self.assertTrue(of_pod["runAsNonRoot"])
            self.assertEqual({of_pod[key] for key in ("runAsUser", "runAsGroup", "fsGroup")}, {65532})
            for container in spec["containers"] + spec.get("initContainers", []):
                context = container["securityContext"]
                self.assertTrue(context["readOnlyRootFilesystem"])
                self.assertFalse(context["allowPrivilegeEscalation"])
                self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
                # The image has no shell that could run one.
                self.assertNotIn("command", container)

    def test_secrets_are_named_and_never_given(self) -> None:
        for values in ("{}", json.dumps(EVERYTHING)):
            self.assertFalse([it for it in rendered(values) if it["kind"] == "Secret"])
        spec = pod(rendered(), "Deployment")
        password = next(it for it in spec["containers"][0]["env"] if it["name"] == "PORTERO_STORE_PASSWORD")
        self.assertEqual(password["valueFrom"], {"secretKeyRef": {"name": "portero-store", "key": "password"}})
        projected = next(it["projected"] for it in spec["volumes"] if it["name"] == "secrets")
        # Root's, and the group's: what the gateway takes.
        self.assertEqual(projected["defaultMode"], 0o440)
        names = [it["secret"]["name"] for it in projected["sources"]]
        self.assertEqual(names, ["portero-master-key", "portero-admin-token"])
        without = rendered(json.dumps({"secrets": {"storePassword": {"name": ""}}}))
        names = [it["name"] for it in pod(without, "Deployment")["containers"][0]["env"]]
        self.assertNotIn("PORTERO_STORE_PASSWORD", names)

    def test_probes_are_values(self) -> None:
        container = pod(rendered(), "Deployment")["containers"][0]
        paths = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
        expected = {"startup": "/health/ready", "readiness": "/health/serving", "liveness": "/health/alive"}
        self.assertEqual(paths, expected)
        other = rendered(json.dumps({"probes": {"readiness": {"httpGet": {"path": "/health/ready"}}}}))
        probe = pod(other, "Deployment")["containers"][0]["readinessProbe"]
        self.assertEqual((probe["httpGet"]["path"], probe["periodSeconds"]), ("/health/ready", 2))

    def test_a_gateway_that_ends_is_left_alone_first_and_has_time_to_drain(self) -> None:
        spec = pod(rendered(), "Deployment")
        self.assertEqual(spec["containers"][0]["lifecycle"], {"preStop": {"sleep": {"seconds": 5}}})
        self.assertEqual(spec["terminationGracePeriodSeconds"], 5 + 30 + 10)
        without = pod(rendered('{"preStopSeconds": 0}'), "Deployment")
        self.assertNotIn("lifecycle", without["containers"][0])

    def test_the_job_makes_a_store_at_an_install_and_never_at_an_upgrade(self) -> None:
        def steps(*arguments: str, values: str = "{}") -> list[list[str]]:
            spec = pod(rendered(values, *arguments), "Job", "front-init")
            return [it["args"] for it in spec.get("initContainers", []) + spec["containers"]]

        init, migrate = ["store", "init"], ["store", "migrate"]
        self.assertEqual(steps(), [init, migrate])
        self.assertEqual(steps("--is-upgrade"), [migrate])
        self.assertEqual(steps(values='{"init": {"makesStore": "false"}}'), [migrate])
        self.assertEqual(steps("--is-upgrade", values='{"init": {"makesStore": "true"}}'), [init, migrate])
        self.assertFalse([it for it in rendered('{"init": {"enabled": false}}') if it["kind"] == "Job"])
        # Before the release: with a config of its own, because the release's is not there yet.
        job, config = one(rendered(), "Job", "front-init"), one(rendered(), "ConfigMap", "front-init")
        weights = [int(it["metadata"]["annotations"]["helm.sh/hook-weight"]) for it in (config, job)]
        self.assertLess(*weights)
        self.assertEqual(config["data"], one(rendered(), "ConfigMap")["data"])

    def test_selectors_find_the_gateways_and_not_the_job(self) -> None:
        documents = rendered(json.dumps(EVERYTHING))
        labels = one(documents, "Deployment")["spec"]["template"]["metadata"]["labels"]
        of_job = one(documents, "Job", "front-init")["spec"]["template"]["metadata"]["labels"]
        selectors = [
            one(documents, "Deployment")["spec"]["selector"]["matchLabels"],
            one(documents, "Service")["spec"]["selector"],
            one(documents, "Service", "front-admin")["spec"]["selector"],
            one(documents, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
            one(documents, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        ]
        for selector in selectors:
            self.assertLessEqual(selector.items(), labels.items())
            self.assertFalse(selector.items() <= of_job.items())

    def test_nobody_but_who_is_named_reaches_the_admin_port(self) -> None:
        def ports(values: str) -> dict[str, Any]:
            ingress = one(rendered(values), "NetworkPolicy")["spec"]["ingress"]
            return {rule["ports"][0]["port"]: rule.get("from") for rule in ingress}

        self.assertEqual(ports("{}"), {"front": None})
        policy = EVERYTHING["networkPolicy"]
        self.assertEqual(ports(json.dumps(EVERYTHING)), {"front": policy["clients"], "admin": policy["operators"]})
        spec = one(rendered(json.dumps(EVERYTHING)), "NetworkPolicy")["spec"]
        self.assertEqual((spec["policyTypes"], spec["egress"]), (["Ingress", "Egress"], policy["egress"]))
        # The service for clients has no other port.
        self.assertEqual([port["name"] for port in one(rendered(), "Service")["spec"]["ports"]], ["front"])

    def test_the_service_monitor_finds_the_admin_service(self) -> None:
        documents = rendered(json.dumps(EVERYTHING))
        monitor = one(documents, "ServiceMonitor")
        self.assertEqual(monitor["apiVersion"], "monitoring.coreos.com/v1")
        self.assertEqual(monitor["metadata"]["labels"]["release"], "prometheus")
        self.assertEqual(monitor["spec"]["endpoints"], [{"port": "admin", "path": "/metrics", "interval": "15s"}])
        selector = monitor["spec"]["selector"]["matchLabels"].items()
        services = [it["metadata"] for it in documents if it["kind"] == "Service"]
        self.assertEqual([it["name"] for it in services if selector <= it["labels"].items()], ["front-admin"])
        ran = helm("template", "front", CHART, "--set", "serviceMonitor.enabled=true")
        self.assertIn("networkPolicy.operators", ran.stderr)

    def test_the_config_is_good_and_fits_the_ports_and_mounts(self) -> None:
        text = one(rendered(), "ConfigMap")["data"]["gateway.toml"]
        self.assertEqual(configs.problems(text), "")
        config, container = configs.read(text), pod(rendered(), "Deployment")["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        self.assertEqual(config["server"]["listen"], [f"0.0.0.0:{ports['front']}"])
        self.assertEqual(config["admin"]["listen"], f"0.0.0.0:{ports['admin']}")
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        environment = {it["name"]: it.get("value") for it in container["env"]}
        self.assertEqual(config["admin"]["token_file"], f"{mounts['secrets']}/admin.token")
        self.assertEqual(environment["PORTERO_MASTER_KEY_FILE"], f"{mounts['secrets']}/master.key")
        self.assertEqual(environment["PORTERO_CONFIG"], f"{mounts['config']}/gateway.toml")
