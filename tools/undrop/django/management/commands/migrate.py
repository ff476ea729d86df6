"""``manage.py migrate``, behind a backup."""

from undrop.django.guarded import command

Command = command("migrate")
