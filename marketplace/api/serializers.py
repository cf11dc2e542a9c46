"""What the public API takes and gives."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from marketplace.models import Company, OptOut
from whatsapp.media.outgoing import LONGEST_CAPTION
from whatsapp.models import MediaFile, Message, MessageLocation

LONGEST_TEXT = 4096  # characters, as WhatsApp takes them
FURTHEST = timedelta(days=30)
MAX_ID = 2**63 - 1


class SalonField(serializers.IntegerField):
    """The salon's number in YClients; may be left out by a key with one salon."""

    def __init__(self, **more: Any) -> None:
        super().__init__(min_value=1, max_value=MAX_ID, required=False, **more)


class SalonQuery(serializers.Serializer[dict[str, Any]]):
    """The query of requests about one salon or all of the key's."""

    salon_id = SalonField()


class MessageQuery(SalonQuery):
    """Which messages are wanted."""

    status = serializers.ChoiceField(choices=Message.Status.choices, required=False)
    direction = serializers.ChoiceField(choices=Message.Direction.choices, required=False)
    phone = serializers.RegexField(r"^[0-9]{5,15}$", required=False, help_text="digits with country code")
    since = serializers.DateTimeField(required=False, help_text="made at this moment or later")


class MediaOut(serializers.ModelSerializer[MediaFile]):
    """A file of a message; `mime`, `file_name` and, until it is kept, `size` are its sender's words."""

    file_name = serializers.CharField(source="name")
    error = serializers.CharField(source="error_code", help_text="why it is not kept: a machine word")

    class Meta:
        model = MediaFile
        fields = ("kind", "mime", "file_name", "size", "state", "error")


class LocationOut(serializers.ModelSerializer[MessageLocation]):
    """A place that a client sent; degrees."""

    class Meta:
        model = MessageLocation
        fields = ("latitude", "longitude", "name", "address")


class NewMessage(serializers.Serializer[dict[str, Any]]):
    """A text to send."""

    salon_id = SalonField()
    to = serializers.CharField(max_length=40, help_text="the client's phone as people write it")
    text = serializers.CharField(max_length=LONGEST_TEXT)
    category = serializers.ChoiceField(
        choices=Message.Category.choices,
        default=Message.Category.SERVICE,
        help_text="`adds` is advertising: it keeps to the daytime and is refused to who opted out",
    )
    send_at = serializers.DateTimeField(required=False, help_text="not before; at once when left out")
    expires_at = serializers.DateTimeField(required=False, help_text="useless after; in a day when left out")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        now = timezone.now()
        send_at: datetime = attrs.get("send_at") or now
        attrs.setdefault("expires_at", max(send_at, now) + timedelta(days=1))
        if send_at > now + FURTHEST:
            raise serializers.ValidationError({"send_at": ["At most 30 days ahead."]})
        if attrs["expires_at"] <= max(send_at, now):
            raise serializers.ValidationError({"expires_at": ["Must lie after now and after send_at."]})
        return attrs


class NewMessageWithFile(NewMessage):
    """A text to send, a file, or a file with its caption."""

    text = serializers.CharField(max_length=LONGEST_TEXT, required=False, default="", allow_blank=True)
    file = serializers.FileField(
        required=False, allow_empty_file=True, max_length=1000, help_text="as a form only; see `media`"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs["text"] and "file" not in attrs:
            raise serializers.ValidationError({"text": ["This field is required."]})
        if "file" in attrs and len(attrs["text"]) > LONGEST_CAPTION:
            raise serializers.ValidationError(
                {"text": [f"A caption has at most {LONGEST_CAPTION} characters."]}
            )
        return super().validate(attrs)


class MessageOut(serializers.ModelSerializer[Message]):
    """One message, from the client or to him."""

    id = serializers.CharField(source="pk", help_text="our number of the message")
    salon_id = serializers.SerializerMethodField(help_text="null for what a client wrote to the number")
    error = serializers.SerializerMethodField(help_text="machine word, empty without an error")
    send_at = serializers.DateTimeField(source="not_before")
    failed_at = serializers.DateTimeField(source="finished_at", allow_null=True)
    media = MediaOut(
        allow_null=True, help_text="its file, at the message's own address with /media behind it"
    )
    location = serializers.SerializerMethodField(help_text="a place that the client sent, or null")

    class Meta:
        model = Message
        fields = (
            "id", "salon_id", "direction", "phone", "text", "note", "category", "source", "status", "error",
            "media", "location", "created_at", "send_at", "expires_at", "sent_at", "delivered_at", "read_at",
            "failed_at",
        )  # fmt: skip

    def get_salon_id(self, row: Message) -> int | None:
        salon_id = (row.external_id or "").partition(":")[0]
        return int(salon_id) if row.direction == Message.Direction.OUT and salon_id.isdecimal() else None

    def get_error(self, row: Message) -> str:
        return row.error_code

    @extend_schema_field(LocationOut(allow_null=True))
    def get_location(self, row: Message) -> dict[str, Any] | None:
        place = getattr(row, "location", None)
        return LocationOut(place).data if place else None


class SessionOut(serializers.ModelSerializer[Company]):
    """A salon and its WhatsApp. `status` is the integration's; `whatsapp` the linked device's."""

    whatsapp = serializers.SerializerMethodField(help_text="state of the linked device")
    connected = serializers.SerializerMethodField()
    phone = serializers.SerializerMethodField(help_text="the linked number, digits; empty when none is")
    connected_since = serializers.SerializerMethodField()

    class Meta:
        model = Company
        fields = ("salon_id", "title", "status", "whatsapp", "connected", "phone", "connected_since")

    def get_whatsapp(self, row: Company) -> str:
        return row.session.status if row.session else "idle"

    def get_connected(self, row: Company) -> bool:
        return row.session is not None and row.session.is_connected

    def get_phone(self, row: Company) -> str:
        return row.session.phone if row.session and row.session.is_linked else ""

    def get_connected_since(self, row: Company) -> datetime | None:
        return row.session.connected_at if row.session and row.session.is_connected else None


class NewOptOut(serializers.Serializer[dict[str, Any]]):
    """A client who wants no more messages from the salon."""

    salon_id = SalonField()
    phone = serializers.CharField(max_length=40, help_text="as people write it")
    scope = serializers.ChoiceField(choices=OptOut.Scope.choices, default=OptOut.Scope.EVERYTHING)


class OptOutOut(serializers.ModelSerializer[OptOut]):
    """An opt-out that holds."""

    salon_id = serializers.IntegerField(source="company.salon_id")

    class Meta:
        model = OptOut
        fields = ("salon_id", "phone", "scope", "said_at")
