"""The engine port without WhatsApp: in process, scripted, steered by a test or a development run.

Nothing happens by itself but what time brings: the next QR code, the end of a pairing attempt, a
reconnect. All times are multiplied by `pace` (0.01 lets an attempt of 160 s pass in 1.6 s). What people and
WhatsApp's server do is called by the test: `scan`, `type_code`, `drop`, `log_out`, `replace`, `ban`,
`outdated`, `kill_host`, `incoming`, `deliver`, `read`.
"""

from whatsapp.engine.simulated.core import Script, SentFile, SentText
from whatsapp.engine.simulated.engine import SimulatedEngine

__all__ = ["Script", "SentFile", "SentText", "SimulatedEngine"]
