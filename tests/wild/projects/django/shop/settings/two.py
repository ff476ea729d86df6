from .dev import *

INSTALLED_APPS = [*INSTALLED_APPS, "audit"]

DATABASES["audit"] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": BASE_DIR / "audit.sqlite3",
}
DATABASE_ROUTERS = ["shop.routers.AuditRouter"]
