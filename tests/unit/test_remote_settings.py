"""Settings of the remote reader: what contradicts what."""

from typing import Any

import pytest

from cxr_node import config
from cxr_node.config import ConfigurationError

REMOTE = {"url": "http://10.0.7.5:8000"}
TLS = {"url": "https://triton:8443/v1", "tls_ca": "ca.pem"}


@pytest.mark.parametrize(
    ("remote", "read", "expected"),
    [
        ({}, {"kind": "remote"}, "remote.url: must be set"),
        ({"url": "ftp://x"}, {}, "remote.url"),
        ({"url": "http://name:password@x"}, {}, "remote.url"),
        ({"url": "http://x:99999"}, {}, "remote.url: the port is not a number from 1 to 65535"),
        ({"url": "https://x"}, {}, "remote.url: https needs remote.tls_ca"),
        ({**REMOTE, "tls_ca": "ca.pem"}, {}, "remote.tls_ca: needs a url that begins with https"),
        ({**REMOTE, "token_file": "token"}, {}, "remote.token_file: needs https"),
        ({**REMOTE, "model": "chest"}, {}, "remote.model and remote.model_version"),
        ({**REMOTE, "model": "../chest", "model_version": "1"}, {}, "remote.model"),
        ({**REMOTE, "timeout_s": 60}, {"kind": "remote"}, "remote.timeout_s: 6 requests may follow each other"),
        (REMOTE, {"kind": "remote", "cascade": [{"bundle": "chest"}]}, "read.cascade"),
        (REMOTE, {"kind": "remote", "devices": ["cuda:0", "cuda:1"]}, "read.devices"),
    ],
)
def test_settings_that_cannot_work_are_reported(remote: dict[str, Any], read: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config.parse({"remote": remote, "read": read})

    assert [problem for problem in caught.value.problems if problem.startswith(expected)], caught.value.problems


@pytest.mark.parametrize(
    "remote", [REMOTE, TLS, {**TLS, "token_file": "token"}, {"url": "http://127.0.0.1:1", "token_file": "t"}]
)
def test_settings_that_work_are_accepted(remote: dict[str, Any]) -> None:
    assert config.parse({"remote": remote, "read": {"kind": "remote"}}).remote.url == remote["url"]
