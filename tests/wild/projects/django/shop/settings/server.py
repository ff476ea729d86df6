import os

from .dev import *

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["SHOP_DB_NAME"],
        "USER": "postgres",
        "HOST": os.environ["SHOP_DB_HOST"],
    }
}
