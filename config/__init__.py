"""Wiring: settings, addresses, processes; what the apps share lies in `config.shared`."""

VERSION = "0.2.0"
