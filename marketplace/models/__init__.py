"""The tables of salons and of everything that YClients and their clients tell us."""

from marketplace.models.access import AccessRequest
from marketplace.models.alerts import OutageAlert
from marketplace.models.api_keys import ApiKey
from marketplace.models.bookings import BookingSettings, MessageTemplate, RecordState
from marketplace.models.channels import Channel
from marketplace.models.companies import Company, MarketplaceEvent, WrongStatus
from marketplace.models.forwarding import ForwardedMessage, Forwarding, ForwardingChange
from marketplace.models.opt_outs import OptOut, PhoneHashKey
from marketplace.models.payments import Payment
from marketplace.models.privacy import ClientDataRequest
from marketplace.models.rate_limit import CallSlot
from marketplace.models.reconciliation import CompanyCheck, Discrepancy, Listing
from marketplace.models.registration_checks import RegistrationCheck
from marketplace.models.scheduled_tasks import ScheduledTask
from marketplace.models.uninstalls import UninstallRequest
from marketplace.models.webhooks import InboundWebhook
from marketplace.models.welcome import WelcomeText

__all__ = [
    "AccessRequest",
    "ApiKey",
    "BookingSettings",
    "CallSlot",
    "Channel",
    "ClientDataRequest",
    "Company",
    "CompanyCheck",
    "Discrepancy",
    "ForwardedMessage",
    "Forwarding",
    "ForwardingChange",
    "InboundWebhook",
    "Listing",
    "MarketplaceEvent",
    "MessageTemplate",
    "OptOut",
    "OutageAlert",
    "Payment",
    "PhoneHashKey",
    "RecordState",
    "RegistrationCheck",
    "ScheduledTask",
    "UninstallRequest",
    "WelcomeText",
    "WrongStatus",
]
