"""The application in a Django project's ``INSTALLED_APPS``: put ``undrop.django`` first there.

Loaded at each start of somebody's application: Django and the standard library only.
"""
