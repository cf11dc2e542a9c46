"""Addresses of the salon owner's cabinet.

Further addresses of a screen are named after it: `cabinet-messages-export`.
"""

from django.urls import path
from django.urls.resolvers import URLPattern

from onboarding.cabinet import (
    alert_links,
    entry,
    files,
    forwarding,
    home,
    links,
    messages,
    opt_outs,
    outage_email,
    replies,
    settings,
    text_pictures,
    text_tests,
    texts,
)

urlpatterns: list[URLPattern] = [
    path("cabinet/", entry.choose, name="cabinet"),
    path("cabinet/enter", entry.enter, name="cabinet-enter"),
    path("cabinet/enter/confirm", entry.confirm, name="cabinet-enter-confirm"),
    path("cabinet/link", links.use, name="cabinet-link"),
    path("cabinet/link/ask", links.ask, name="cabinet-link-ask"),
    path("cabinet/alerts/confirm", alert_links.confirm, name="alert-confirm"),
    path("cabinet/alerts/stop", alert_links.stop, name="alert-stop"),
    path("cabinet/leave", entry.leave, name="cabinet-leave"),
    path("cabinet/<int:salon_id>/", home.home, name="cabinet-home"),
    path("cabinet/<int:salon_id>/relink", home.relink, name="cabinet-home-relink"),
    path("cabinet/<int:salon_id>/messages", messages.messages, name="cabinet-messages"),
    path("cabinet/<int:salon_id>/messages/export", messages.export, name="cabinet-messages-export"),
    path("cabinet/<int:salon_id>/messages/opt-outs", opt_outs.opted_out, name="cabinet-messages-opt-outs"),
    path(
        "cabinet/<int:salon_id>/messages/opt-outs/<int:row_id>/remove",
        opt_outs.remove,
        name="cabinet-messages-opt-outs-remove",
    ),
    path(
        "cabinet/<int:salon_id>/messages/<int:message_id>",
        messages.message_story,
        name="cabinet-messages-story",
    ),
    path(
        "cabinet/<int:salon_id>/messages/<int:message_id>/resend",
        messages.resend,
        name="cabinet-messages-resend",
    ),
    path("cabinet/<int:salon_id>/texts", texts.overview, name="cabinet-texts"),
    path("cabinet/<int:salon_id>/texts/times", texts.times, name="cabinet-texts-times"),
    path("cabinet/<int:salon_id>/texts/<str:kind>", texts.edit, name="cabinet-texts-edit"),
    path("cabinet/<int:salon_id>/texts/<str:kind>/switch", texts.switch, name="cabinet-texts-switch"),
    path("cabinet/<int:salon_id>/texts/<str:kind>/preview", texts.preview, name="cabinet-texts-preview"),
    path(
        "cabinet/<int:salon_id>/texts/<str:kind>/picture", text_pictures.change, name="cabinet-texts-picture"
    ),
    path("cabinet/<int:salon_id>/texts/<str:kind>/test", text_tests.send, name="cabinet-texts-test"),
    path("cabinet/<int:salon_id>/files/<int:file_id>", files.show, name="cabinet-file"),
    path("cabinet/<int:salon_id>/replies", replies.replies, name="cabinet-replies"),
    path("cabinet/<int:salon_id>/replies/new", replies.list_fragment, name="cabinet-replies-new"),
    path("cabinet/<int:salon_id>/replies/forwarding", forwarding.show, name="cabinet-replies-forwarding"),
    path(
        "cabinet/<int:salon_id>/replies/forwarding/change",
        forwarding.change,
        name="cabinet-replies-forwarding-change",
    ),
    path(
        "cabinet/<int:salon_id>/replies/forwarding/secret",
        forwarding.renew_secret,
        name="cabinet-replies-forwarding-secret",
    ),
    path(
        "cabinet/<int:salon_id>/replies/forwarding/test",
        forwarding.test,
        name="cabinet-replies-forwarding-test",
    ),
    path(
        "cabinet/<int:salon_id>/replies/forwarding/<int:delivery_id>/retry",
        forwarding.retry,
        name="cabinet-replies-forwarding-retry",
    ),
    path(
        "cabinet/<int:salon_id>/replies/<int:conversation_id>",
        replies.conversation,
        name="cabinet-replies-conversation",
    ),
    path(
        "cabinet/<int:salon_id>/replies/<int:conversation_id>/new",
        replies.conversation_fragment,
        name="cabinet-replies-conversation-new",
    ),
    path(
        "cabinet/<int:salon_id>/replies/<int:conversation_id>/answer",
        replies.answer,
        name="cabinet-replies-answer",
    ),
    path(
        "cabinet/<int:salon_id>/replies/<int:conversation_id>/read",
        replies.read,
        name="cabinet-replies-read",
    ),
    path("cabinet/<int:salon_id>/settings", settings.settings, name="cabinet-settings"),
    path("cabinet/<int:salon_id>/settings/pause", settings.pause, name="cabinet-settings-pause"),
    path("cabinet/<int:salon_id>/settings/resume", settings.resume, name="cabinet-settings-resume"),
    path("cabinet/<int:salon_id>/settings/unlink", settings.unlink, name="cabinet-settings-unlink"),
    path("cabinet/<int:salon_id>/settings/email", outage_email.change, name="cabinet-settings-email"),
]
