"""A search in PostgreSQL, which any number of machines share: Optuna's tables, its heartbeat, and patience.

What Optuna leaves open is closed here: a database that restarts is waited for; a trial has its first heartbeat before
it runs, so that no worker can die in between; times are compared by the database's clock in UTC, whatever the workers'
clocks and time zones are; and nobody is called dead while it was the database that did not answer.
"""

import contextlib
import hashlib
import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from kws_dendrite.errors import ConfigError, KwsDendriteError, ServiceError

HEARTBEAT = 30  # seconds from one to the next
BEATS = 4  # that may fail to come before a worker counts as dead
PATIENCE = 600.0  # seconds that a database is waited for in the middle of a search
TURN_SECONDS = 120.0  # a worker keeps it for a fraction of one; some where it draws companions
EXAMPLE = "postgresql://user:password@host/database"
DRIVERS = ("psycopg", "psycopg2")
# What Optuna asks of a storage. All may be asked again: where the answer to a commit was lost, the second call changes
# nothing, but for a trial that is then enqueued or taken twice, which the queue sorts out.
ASKED = (
    "create_new_study", "delete_study", "set_study_user_attr", "set_study_system_attr", "get_study_id_from_name",
    "get_study_name_from_id", "get_study_directions", "get_study_user_attrs", "get_study_system_attrs",
    "get_all_studies", "_create_new_trial", "_set_trial_param", "get_trial_id_from_study_id_trial_number",
    "set_trial_intermediate_value", "set_trial_user_attr", "set_trial_system_attr", "get_trial", "_get_trials",
)  # fmt: skip


class DatabaseStore:
    """`storage.Store` in PostgreSQL.

    Args:
        url: as in `EXAMPLE`; without a password PGPASSWORD or ~/.pgpass has it.
        name: of the search; each has a turn of its own.
        heartbeat: seconds from one sign of life to the next.
        grace: seconds without one after which a worker is dead.
        patience: seconds to wait for a database that stops answering.
        tell: is told what a person should know, a line each.
    """

    many_machines = True

    def __init__(
        self,
        url: str,
        name: str,
        heartbeat: int = HEARTBEAT,
        grace: int | None = None,
        patience: float = PATIENCE,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        address = parse_url(url)
        self.shown = show(url)
        self.secret = str(address.password or "")
        self.key = _key(f"search {name}")
        self.tell = tell
        self.taken: sqlalchemy.Connection | None = None
        try:
            # One at a time: two that make the same tables at once get in each other's way.
            with _alone(sqlalchemy.create_engine(address, **_engine()), _key("tables"), TURN_SECONDS):
                self.tables = _Tables(
                    address, self.explain, heartbeat, grace or BEATS * heartbeat, patience, lambda line: self.tell(line)
                )
        except RuntimeError as error:
            raise ServiceError(
                f"the tables in {self.shown} were made by another version of Optuna than the {optuna.__version__} here "
                f"({' '.join(str(error).split())}); upgrade them with `optuna storage upgrade`, install the version "
                "that made them, or name another database"
            ) from error
        except (SQLAlchemyError, StorageInternalError) as error:
            raise ServiceError(self.explain(error)) from error
        self.storage = optuna.storages.get_storage(self.tables)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Have the queue alone.

        Raises:
            ServiceError: the database does not answer, or another worker keeps the turn.
        """
        with contextlib.ExitStack() as stack:
            self.taken = self.tables.patiently(
                lambda: stack.enter_context(_alone(self.tables.engine, self.key, TURN_SECONDS))
            )
            try:
                yield
            finally:
                self.taken = None
                with contextlib.suppress(SQLAlchemyError):  # a connection that broke has given the lock back, too
                    stack.close()

    def has_turn(self) -> bool:
        """Whether the turn is still ours: it goes with the connection, as when the database restarts."""
        try:
            return self.taken is not None and self.taken.execute(sqlalchemy.text("SELECT 1")).scalar() == 1
        except SQLAlchemyError:
            return False

    def sign_in(self, worker: str) -> None:
        """Nothing: the heartbeat of a trial is the sign of life."""

    def sign_out(self, worker: str) -> None:
        """Nothing."""

    def hurry(self) -> None:
        """Wait for the database no more where it does not answer: somebody wants to go."""
        self.tables.patience = 0.0

    def lose_orphans(self, study: optuna.Study) -> None:
        """Mark running trials as failed whose heartbeat stopped."""
        optuna.storages.fail_stale_trials(study)

    def close(self) -> None:
        """Close the connections."""
        self.tables.remove_session()
        self.tables.engine.dispose()

    def explain(self, error: BaseException) -> str:
        """What went wrong, in one line, without the password."""
        return _explain(error, self.shown, self.secret)


class _Tables(RDBStorage):
    """Optuna's storage, patient."""

    def __init__(
        self,
        address: sqlalchemy.URL,
        explain: Callable[[BaseException], str],
        heartbeat: int,
        grace: int,
        patience: float,
        tell: Callable[[str], None],
    ) -> None:
        self.explain, self.patience, self.tell = explain, patience, tell
        self.trouble = -float("inf")  # when the database last did not answer, by the monotonic clock
        super().__init__(
            # Optuna fills {SCHEMA_VERSION} into a URL; braces of a password are not meant.
            address.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}"),
            engine_kwargs=_engine(),
            heartbeat_interval=heartbeat,
            grace_period=grace,
        )
        # Beats are stored without a time zone, and PGTZ, where somebody has it, goes before a connection's options.
        sqlalchemy.event.listen(self.engine, "connect", _begin)
        self.engine.dispose()

    def patiently(self, ask: Callable[[], Any]) -> Any:
        """What `ask` gives; asked again while the database does not answer. Who waited in vain, or was interrupted,
        waits no more.

        Raises:
            ServiceError: it has not for `patience` seconds, or its tables are not what they should be.
        """
        since, pause = None, 0.05
        while True:
            try:
                return ask()
            except (StorageInternalError, SQLAlchemyError) as error:
                if not _is_outage(error):
                    raise ServiceError(self.explain(error)) from error
                now = time.monotonic()
                if since is None:
                    since = now
                    if self.patience:
                        self.tell(f"{self.explain(error)}; asking again for {self.patience:g} s")
                self.trouble = now
                if now - since >= self.patience:
                    self.patience = 0.0  # once is enough: what comes now is the end, in order
                    raise ServiceError(
                        f"{self.explain(error)}; nothing that was finished is lost, run the same command again when it "
                        "answers"
                    ) from error
                try:
                    time.sleep(pause)
                except KeyboardInterrupt:
                    self.patience = 0.0
                    raise
                pause = min(2 * pause, 2.0)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Any = None) -> bool:
        """As Optuna's; who takes a trial gives a sign of life first, and an end that was written before its answer was
        lost is no other's."""
        asked = 0

        def ask() -> bool:
            nonlocal asked
            asked += 1
            try:
                if state == TrialState.RUNNING:
                    RDBStorage.record_heartbeat(self, trial_id)
                return RDBStorage.set_trial_state_values(self, trial_id, state, values)
            except UpdateFinishedTrialError:
                if asked > 1 and RDBStorage.get_trial(self, trial_id).state == state:
                    return True
                raise

        return self.patiently(ask)

    def record_heartbeat(self, trial_id: int) -> None:
        """As Optuna's; one that does not get through is left out, the next comes soon."""
        try:
            super().record_heartbeat(trial_id)
        except (StorageInternalError, SQLAlchemyError):
            self.trouble = time.monotonic()

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        """As Optuna's; none while the database was away itself less than the grace period ago."""
        if time.monotonic() - self.trouble < self.grace_period:
            return []

        def ask() -> list[int]:
            with self.engine.connect() as connection:
                up = connection.execute(
                    sqlalchemy.text("SELECT extract(epoch FROM now() - pg_postmaster_start_time())")
                ).scalar()
            return [] if up < self.grace_period else RDBStorage._get_stale_trial_ids(self, study_id)

        return self.patiently(ask)


def _patient(name: str) -> Callable[..., Any]:
    original = getattr(RDBStorage, name)

    def method(self: _Tables, *arguments: Any, **settings: Any) -> Any:
        return self.patiently(lambda: original(self, *arguments, **settings))

    return method


for _name in ASKED:
    setattr(_Tables, _name, _patient(_name))


def parse_url(url: str) -> sqlalchemy.URL:
    """A database's URL, with the driver that is here.

    Raises:
        ConfigError: it is no PostgreSQL URL, or no driver is installed. The message has no password.
    """
    try:
        address = sqlalchemy.make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigError(f"--storage takes {EXAMPLE}; what came is no URL of a database") from error
    kind, _, driver = address.drivername.partition("+")
    if kind != "postgresql" or not address.database:
        missing = " without a database's name" if kind == "postgresql" else ""
        raise ConfigError(f"--storage takes {EXAMPLE}; got {show(url)}{missing}")
    found = [name for name in ([driver] if driver else DRIVERS) if importlib.util.find_spec(name)]
    if not found:
        raise ConfigError("--storage needs PostgreSQL's driver: pip install 'kws-dendrite[postgres]'")
    return address.set(drivername=f"postgresql+{found[0]}")


def show(url: str) -> str:
    """A database's URL for people: without its password, and without settings, which may have one, too."""
    address = sqlalchemy.make_url(url)
    return address.set(query={}).render_as_string(hide_password=True)


def _engine() -> dict[str, Any]:
    return {
        "pool_pre_ping": True,  # a connection that the database closed is made anew
        "pool_size": 1,  # kept open; PostgreSQL takes 100 in all as it comes, which should be as many workers
        "max_overflow": 4,
        "connect_args": {
            "connect_timeout": 10,
            "application_name": "kws-dendrite",
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        },
    }


def _begin(connection: Any, _: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
        # A machine that loses its power says nothing: the server would keep its connection, and the turn, for hours.
        cursor.execute("SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3")
    connection.commit()


@contextlib.contextmanager
def _alone(engine: sqlalchemy.Engine, key: int, patience: float) -> Iterator[sqlalchemy.Connection]:
    """Hold an advisory lock of the database; whoever is killed gives it back with the connection."""
    deadline, pause = time.monotonic() + patience, 0.01
    while True:
        with engine.begin() as connection:
            if connection.execute(sqlalchemy.text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": key}).scalar():
                yield connection
                return
        if time.monotonic() > deadline:
            raise ServiceError(
                f"another worker has kept the search's turn in the database for {patience:g} s; it hangs or was "
                "stopped: end it, and run the same command again"
            )
        time.sleep(pause)
        pause = min(2 * pause, 0.25)


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"kws-dendrite {name}".encode()).digest()[:8], "big", signed=True)


def _is_outage(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, KwsDendriteError):
        if isinstance(error, OperationalError) or getattr(error, "connection_invalidated", False):
            return True
        error = error.__cause__
    return False


def _explain(error: BaseException, shown: str, secret: str) -> str:
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    words = " ".join(str(getattr(cause, "orig", None) or cause).split())
    if secret:
        words = words.replace(secret, "***")
    if _is_outage(error):
        return f"the database {shown} does not answer or refuses: {words}"
    return f"the database {shown} cannot be used: {words}"
