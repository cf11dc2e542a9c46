"""The envelopes of what YClients posts to us; what is inside `data` is not checked here."""

from typing import Any

from rest_framework import serializers

MAX_ID = 2**63 - 1


class LifecycleSerializer(serializers.Serializer[dict[str, Any]]):
    """`{"salon_id", "application_id", "event", "partner_token"}`; some senders write `event_type`."""

    salon_id = serializers.IntegerField(min_value=1, max_value=MAX_ID)
    application_id = serializers.IntegerField(min_value=1, max_value=MAX_ID)
    event = serializers.CharField(max_length=64)


class EntitySerializer(serializers.Serializer[dict[str, Any]]):
    """`{"company_id", "resource", "resource_id", "status", "data"}`; `company_id` is the salon's id."""

    company_id = serializers.IntegerField(min_value=1, max_value=MAX_ID)
    resource = serializers.CharField(max_length=40)
    resource_id = serializers.CharField(max_length=64, required=False, allow_null=True, allow_blank=True)
    status = serializers.CharField(max_length=20, required=False, allow_null=True, allow_blank=True)
