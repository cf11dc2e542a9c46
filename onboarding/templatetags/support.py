"""The support contact in a template: `{% load support %}{% support_contact %}`."""

from typing import Any

from django import template

from onboarding.rendering import support_contact as contact

register = template.Library()


@register.inclusion_tag("onboarding/support_contact.html")
def support_contact(subject: str = "") -> dict[str, Any]:
    """Links to support, or nothing where none is set; `subject` is that of an e-mail."""
    return {"links": contact.links(subject)}
