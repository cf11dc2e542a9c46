"""What a salon is told on its own number when it has been connected for the first time."""

from django.db import models
from django.utils.translation import gettext_lazy as _

# The languages in which we write to salons and clients; pages have more.
LANGUAGES = [("ru", _("Russian")), ("en", _("English"))]


class WelcomeText(models.Model):
    """The welcome in one language, in support's words; without a row the words in `welcome` hold."""

    language = models.CharField(_("language"), max_length=2, unique=True, choices=LANGUAGES)
    text = models.TextField(_("text"), max_length=4000)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("welcome text")
        verbose_name_plural = _("welcome texts")

    def __str__(self) -> str:
        return str(self.get_language_display())
