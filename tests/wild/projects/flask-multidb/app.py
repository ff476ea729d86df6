from pathlib import Path

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

here = Path(__file__).resolve().parent
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{here}/orders.db"
app.config["SQLALCHEMY_BINDS"] = {"users": f"sqlite:///{here}/people.db"}
db = SQLAlchemy(app)
Migrate(app, db)


class Order(db.Model):
    __tablename__ = "orders"
    id = db.Column(db.Integer, primary_key=True)
    what = db.Column(db.Text, nullable=False)
    price = db.Column(db.Integer)


class Person(db.Model):
    __bind_key__ = "users"
    __tablename__ = "people"
    id = db.Column(db.Integer, primary_key=True)
    mail = db.Column(db.Text, nullable=False)
    name = db.Column(db.Text, nullable=False, server_default="?")
