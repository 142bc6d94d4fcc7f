"""What the dashboard and the alerts ask for is what the gateway has."""

import json
import re
import unittest

import yaml
from tools import DEPLOY, ROOT

OURS = set((ROOT / "tests" / "surface" / "metric_names.txt").read_text().split())
OTHERS = {"up", "process_resident_memory_bytes", "haproxy_server_status"}


def names(expression: str) -> set[str]:
    bare = re.sub(r'\{[^}]*\}|\[[^]]*\]|"[^"]*"', "", expression)
    bare = re.sub(r"\bby \([^)]*\)", "", bare)
    found = set(re.findall(r"\b(?:portero|process|haproxy)_\w+|\bup\b", bare))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


class Metrics(unittest.TestCase):
    def test_the_dashboard_asks_for_metrics_that_there_are(self) -> None:
        dashboard = json.loads((DEPLOY / "compose" / "grafana" / "portero.json").read_text())
        asked = set()
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                of_target = names(target["expr"])
                self.assertTrue(of_target, target["expr"])
                asked |= of_target
                self.assertEqual(target["datasource"]["uid"], "prometheus")
        self.assertLessEqual(asked, OURS | OTHERS)
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
        self.assertEqual(len(places), len(set(places)))

    def test_the_alerts_ask_for_metrics_that_there_are(self) -> None:
        rules = yaml.safe_load((DEPLOY / "compose" / "alerts.yml").read_text())["groups"][0]["rules"]
        for rule in rules:
            self.assertTrue(names(rule["expr"]), rule)
            self.assertLessEqual(names(rule["expr"]), OURS | OTHERS)
            self.assertTrue(rule["annotations"]["summary"])
