"""Quartermaster's Alembic environment, guarded by undrop."""

from logging.config import fileConfig

from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from quartermaster.models import Base, is_ours
from undrop.alembic import backup_before, database_url, transactional_ddl

if context.config.config_file_name:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)

backup_before(context)
url = database_url(context)

if context.is_offline_mode():
    context.configure(
        url=url,
        target_metadata=Base.metadata,
        literal_binds=True,
        transactional_ddl=True,
        dialect_opts={"paramstyle": "named"},
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = create_engine(url, poolclass=NullPool)
    transactional_ddl(engine)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            include_name=is_ours,  # type: ignore[arg-type]  # it takes any kind and parents
            render_as_batch=True,
            transactional_ddl=True,
        )
        with context.begin_transaction():
            context.run_migrations()
