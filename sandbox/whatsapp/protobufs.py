"""WhatsApp's protobuf classes, taken from neonize without starting its Go runtime.

``import neonize.proto`` would run ``neonize/__init__``, which loads the shared object. The generated
modules import each other by their folder's names, so that folder on ``sys.path`` is all they need.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any


def _load(name: str) -> Any:
    return importlib.import_module(name)


def _find_folder() -> str:
    spec = importlib.util.find_spec("neonize")  # finds a top-level package without running it
    if spec is None or spec.origin is None:
        raise ImportError("the package neonize is needed for WhatsApp's protobuf classes")
    return str(Path(spec.origin).parent / "proto")


_folder = _find_folder()
if _folder not in sys.path:
    sys.path.append(_folder)

HandshakeMessage: Any = _load("waWa6.WAWebProtobufsWa6_pb2").HandshakeMessage
ClientPayload: Any = _load("waWa6.WAWebProtobufsWa6_pb2").ClientPayload
CertChain: Any = _load("waCert.WACert_pb2").CertChain
ADVDeviceIdentity: Any = _load("waAdv.WAAdv_pb2").ADVDeviceIdentity
ADVSignedDeviceIdentity: Any = _load("waAdv.WAAdv_pb2").ADVSignedDeviceIdentity
ADVSignedDeviceIdentityHMAC: Any = _load("waAdv.WAAdv_pb2").ADVSignedDeviceIdentityHMAC
DeviceProps: Any = _load("waCompanionReg.WACompanionReg_pb2").DeviceProps
Message: Any = _load("waE2E.WAWebProtobufsE2E_pb2").Message
