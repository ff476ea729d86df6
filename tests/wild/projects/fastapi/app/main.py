from collections.abc import Sequence

from fastapi import FastAPI
from sqlmodel import Session, create_engine, select

from app.config import settings
from app.models import Note

app = FastAPI()
engine = create_engine(settings.database_url)


@app.get("/notes")
def notes() -> Sequence[Note]:
    with Session(engine) as session:
        return session.exec(select(Note)).all()
