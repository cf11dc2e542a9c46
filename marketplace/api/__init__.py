"""The public API, version 1: what a salon's or a partner's own systems may do here.

Addresses, fields and errors are described by the schema at `/api/schema/`, which is made from these views.
"""
