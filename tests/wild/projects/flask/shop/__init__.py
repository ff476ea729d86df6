"""A shop whose factory seeds what it needs, as many do."""

import sqlalchemy as sa
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
migrate = Migrate()


def create_app() -> Flask:
    from shop.models import Role

    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///shop.db"
    db.init_app(app)
    migrate.init_app(app, db, render_as_batch=True)
    with app.app_context():
        if sa.inspect(db.engine).has_table("role") and not db.session.query(Role).count():
            db.session.add(Role(name="admin"))
            db.session.commit()
    return app
