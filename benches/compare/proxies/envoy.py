"""Envoy: bare, and with its `jwt_authn` filter."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from processes import Fleet, free_ports, listens
from proxies import IDENTITY
from tokens import AUDIENCE, ISSUER, Keys, b64

JWT_CACHE_ENTRIES = 50_000

CLAIMS = {"X-Auth-Issuer": "iss", "X-Auth-Subject": "sub", "X-Auth-Role": "role", "X-Auth-Scopes": "scope"}

HOST = "%REQ(:AUTHORITY)%"
PEER = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"

# X-Forwarded-For, -Proto and X-Request-Id are its own doing. It has no number for a trace without a tracer: a constant.
FORWARD = {
    "X-Forwarded-Host": HOST,
    "Forwarded": f'for={PEER};proto=http;host="{HOST}"',
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00",
}


class Envoy:
    """One process with a port for each way of checking: `bare`, `HS256`, `RS256` and `RS256, cached`."""

    def __init__(self, fleet: Fleet, binary: Path, origin: int, threads: int, keys: Keys) -> None:
        hmac = {"kty": "oct", "alg": "HS256", "kid": keys["HS256"].kid, "k": b64(keys["HS256"].file.read_bytes())}
        rsa = {"kty": "RSA", "alg": "RS256", "kid": keys["RS256"].kid, "n": b64(keys.rsa_modulus()), "e": "AQAB"}
        ways: dict[str, list[dict[str, Any]]] = {
            "bare": [],
            "HS256": [check(hmac)],
            "RS256": [check(rsa)],
            "RS256, cached": [check(rsa, cached=True)],
        }
        self.ports = dict(zip(ways, free_ports(len(ways)), strict=True))
        listeners = [listener(self.ports[way], filters) for way, filters in ways.items()]
        config = {"static_resources": {"listeners": listeners, "clusters": [cluster(origin)]}}
        argv = (
            binary,
            "-c",
            fleet.write("envoy.json", json.dumps(config)),
            "--concurrency",
            str(threads),
            "-l",
            "error",
            "--disable-hot-restart",
        )
        process = fleet.start(*argv)
        for port in self.ports.values():
            process.wait_for(partial(listens, port), f"port {port}")
        self.pids = (process.pid,)


def typed(name: str, **fields: Any) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/envoy.extensions.{name}", **fields}


def check(jwk: dict[str, str], cached: bool = False) -> dict[str, Any]:
    """The filter that checks tokens of one key."""
    provider: dict[str, Any] = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": json.dumps({"keys": [jwk]})},
        "claim_to_headers": [{"header_name": header, "claim_name": claim} for header, claim in CLAIMS.items()],
        "forward": True,
    }
    if cached:
        provider["jwt_cache_config"] = {"jwt_cache_size": JWT_CACHE_ENTRIES}
    rules = [{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}]
    config = typed("filters.http.jwt_authn.v3.JwtAuthentication", providers={"p": provider}, rules=rules)
    return {"name": "envoy.filters.http.jwt_authn", "typed_config": config}


def listener(port: int, filters: list[dict[str, Any]]) -> dict[str, Any]:
    router = typed("filters.http.router.v3.Router", suppress_envoy_headers=True)
    added = FORWARD if filters else {**FORWARD, **IDENTITY}
    headers = [
        {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for name, value in added.items()
    ]
    host = {
        "name": "all",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "origin"}}],
        "request_headers_to_add": headers,
    }
    manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=str(port),
        use_remote_address=True,
        http_filters=[*filters, {"name": "envoy.filters.http.router", "typed_config": router}],
        route_config={"virtual_hosts": [host]},
    )
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": str(port), "address": address(port), "filter_chains": [chain]}


def cluster(origin: int) -> dict[str, Any]:
    limits = {"max_connections": 16_384, "max_pending_requests": 16_384, "max_requests": 16_384}
    return {
        "name": "origin",
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {
            "cluster_name": "origin",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(origin)}}]}],
        },
    }


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
