"""People who are signed in to the admin."""

from django.contrib.auth.models import Group, User
from django.test import Client

from config.support_group import make_support_group


def signed_in(name: str, group: Group) -> Client:
    """A member of the group, who reads Russian."""
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(group)
    client = Client(headers={"Accept-Language": "ru"})
    client.force_login(user)
    return client


def signed_in_onlooker() -> Client:
    """Somebody who may see what support staff see, and do nothing."""
    group = make_support_group()
    watching = Group.objects.get_or_create(name="Watching")[0]
    watching.permissions.set(group.permissions.filter(codename__startswith="view_"))
    return signed_in("onlooker", watching)
