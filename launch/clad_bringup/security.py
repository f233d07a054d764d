"""SROS2 for a whole graph: every node in the enclave that security/clad.policy.xml has for it (docs/security.md)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from clad.errors import UsageError

ROOT = "/clad"  # enclaves are ROOT/NODE
KEYSTORE = "ROS_SECURITY_KEYSTORE"
# what sros2 writes into an enclave's folder and a participant reads
FILES = ("identity_ca.cert.pem", "cert.pem", "key.pem", "permissions_ca.cert.pem", "governance.p7s", "permissions.p7s")
_REMEDY = "Make it with sros2: ros2 security generate_artifacts -k KEYSTORE -p security/clad.policy.xml"


def enclave(node: str) -> str:
    """The name of a node's enclave."""
    return f"{ROOT}/{node}"


def environment(keystore: str, nodes: Iterable[str]) -> dict[str, str]:
    """What a process's environment must have so that nothing is said or heard without the keys in `keystore`.

    An empty keystore is the one that ROS_SECURITY_KEYSTORE names. Raises UsageError when there is none, or when it lacks
    what one of the nodes needs: under Enforce that node would not start.
    """
    folder = keystore or os.environ.get(KEYSTORE, "")
    if not folder:
        raise UsageError("security is asked for without a keystore", f"Give keystore, or set {KEYSTORE}. {_REMEDY}")
    path = Path(folder).absolute()
    if not path.is_dir():
        raise UsageError(f"there is no keystore {path}", _REMEDY)
    for node in nodes:
        missing = [name for name in FILES if not (path / "enclaves" / enclave(node)[1:] / name).is_file()]
        if missing:
            raise UsageError(f"keystore {path} lacks {', '.join(missing)} of enclave {enclave(node)}", _REMEDY)
    return {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce", KEYSTORE: str(path)}
