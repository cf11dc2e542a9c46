"""Payments for the application that were made past YClients, and what YClients was told of them."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Payment(models.Model):
    """One payment of a salon; the row is the queue of the calls that notify YClients of it and of its refund.

    Times are text as YClients writes them, `YYYY-MM-DD HH:MM:SS` without a zone, so that a payment is found
    again in its list exactly.
    """

    class State(models.TextChoices):
        DUE = "due", _("YClients is to be notified")
        # Committed before the call: after a crash YClients is asked before anything is repeated.
        CALLING = "calling", _("YClients is being notified")
        NOTIFIED = "notified", _("YClients was notified")
        REFUSED = "refused", _("YClients refused it")
        REFUND_DUE = "refund_due", _("the refund is to be notified")
        REFUNDING = "refunding", _("the refund is being notified")
        REFUNDED = "refunded", _("the refund was notified")

    OPEN = (State.DUE, State.CALLING, State.REFUND_DUE, State.REFUNDING)

    company = models.ForeignKey("marketplace.Company", on_delete=models.PROTECT, related_name="payments")
    idempotency_key = models.CharField(max_length=64, unique=True)
    payment_sum = models.DecimalField(max_digits=12, decimal_places=2)
    currency_iso = models.CharField(max_length=3)
    payment_date = models.CharField(max_length=19)
    period_from = models.CharField(max_length=19)
    period_to = models.CharField(max_length=19)

    yclients_id = models.PositiveBigIntegerField(null=True, blank=True, unique=True)
    known_before = models.JSONField(
        default=list, blank=True, help_text=_("the salon's payments at YClients before the call")
    )
    state = models.CharField(max_length=12, choices=State.choices, default=State.DUE)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    claimed_until = models.DateTimeField(null=True, blank=True)
    called_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)

    created_by = models.CharField(max_length=200)
    refund_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    notified_at = models.DateTimeField(null=True, blank=True)
    refunded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    state__in=[
                        "due",
                        "calling",
                        "notified",
                        "refused",
                        "refund_due",
                        "refunding",
                        "refunded",
                    ]
                ),
                name="payment_state_known",
            ),
            models.CheckConstraint(condition=Q(payment_sum__gte=0), name="payment_sum_not_negative"),
            models.CheckConstraint(
                condition=~Q(state__in=["notified", "refund_due", "refunding", "refunded"])
                | Q(yclients_id__isnull=False),
                name="payment_notified_has_id",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(state__in=["due", "calling", "refund_due", "refunding"]),
                name="payment_queue",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.payment_sum} {self.currency_iso}, {self.period_from[:10]} – {self.period_to[:10]}"
