//! The connection: one for all, made when it is needed, given up when it fails.
//!
//! The client library's own reconnecting keeps the refusal of a server that is still loading its data, or has no room
//! for a client, as if it were final; and it makes callers wait for attempts made long after theirs began. Here an
//! operation that finds no connection makes one, within its own time.

use crate::store::config::Server;
use crate::store::{OpenError, StoreError};
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, Pipeline, RedisError, RedisResult, ScriptInvocation,
    ServerErrorKind, TlsCertificates, Value,
};
use std::time::Duration;
use tokio::time::timeout;

/// An operation on Redis fails when it has taken this long.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// An idle connection is tried so often.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// How long to wait for Redis.
pub(super) struct Patience {
    pub operation: Duration,
    /// For a connection, and for the first answer on it.
    pub connect: Duration,
    /// Attempts to reach it when it is opened.
    pub attempts: u32,
    /// Between two of them.
    pub between: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            operation: PATIENCE,
            connect: Duration::from_secs(2),
            attempts: 10,
            between: Duration::from_secs(1),
        }
    }
}

pub(super) struct Link {
    client: Client,
    place: String,
    patience: Patience,
    slot: Mutex<Slot>,
    /// Held by whoever makes a connection, so that all who wait get the same.
    making: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Slot {
    connection: Option<MultiplexedConnection>,
    /// Connections made so far: the number of the one that is there.
    number: u64,
    is_closed: bool,
}

/// Why an operation did not take place, or may not have.
enum Trouble {
    Redis(RedisError),
    Closed,
    Late,
}

impl Link {
    /// Makes no connection yet.
    pub(super) fn new(server: Server, patience: Patience) -> Result<Self, OpenError> {
        let place = server.place.clone();
        // An idle connection is kept known to what stands between, and one whose peer vanished is noticed.
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE))
            .set_user_timeout(patience.operation);
        let client = client(server, tcp)?;
        Ok(Self {
            client,
            place,
            patience,
            slot: Mutex::default(),
            making: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn unavailable(&self, why: String) -> StoreError {
        StoreError::Unavailable {
            place: self.place.clone(),
            why,
        }
    }

    pub(super) fn unreachable(&self, why: String) -> OpenError {
        OpenError::Unreachable {
            place: self.place.clone(),
            why,
        }
    }

    /// Runs a script once. Whether it ran is not known when this fails.
    pub(super) async fn run(&self, call: &ScriptInvocation<'_>) -> Result<Value, String> {
        let ran = self.within(async |connection| call.invoke_async(connection).await);
        ran.await.map_err(|trouble| trouble.to_string())
    }

    /// Runs reading commands in one round trip. What each answered; `None` where its key is of another type.
    pub(super) async fn pipe(&self, mut pipe: Pipeline) -> Result<Vec<Option<Value>>, String> {
        pipe.ignore_errors();
        let asked = self.within(async |connection| {
            let answers: Vec<RedisResult<Value>> = pipe.query_async(connection).await?;
            let of_its_key = |answer: RedisResult<Value>| match answer {
                Ok(value) => Ok(Some(value)),
                Err(error) if error.code() == Some("WRONGTYPE") => Ok(None),
                // Of the server: it does not serve, or not us.
                Err(error) => Err(error),
            };
            answers.into_iter().map(of_its_key).collect()
        });
        asked.await.map_err(|trouble| trouble.to_string())
    }

    /// Waits for what others do with this link as long as for an operation.
    pub(super) async fn in_time<T>(&self, others: impl Future<Output = T>) -> Result<T, String> {
        let done = timeout(self.patience.operation, others).await;
        done.map_err(|_| Trouble::Late.to_string())
    }

    /// Waits until Redis answers, through some attempts.
    pub(super) async fn wait_until_up(&self) -> Result<(), OpenError> {
        let mut left = self.patience.attempts;
        loop {
            let ping =
                self.within(async |connection| redis::cmd("PING").exec_async(connection).await);
            let Err(trouble) = ping.await else {
                return Ok(());
            };
            left = left.saturating_sub(1);
            if left == 0 || !trouble.may_pass() {
                return Err(self.unreachable(trouble.to_string()));
            }
            tracing::warn!(place = self.place, why = %trouble, "waiting for Redis");
            tokio::time::sleep(self.patience.between).await;
        }
    }

    /// The policy by which Redis may throw away what we keep there, if it may.
    pub(super) async fn eviction(&self) -> Result<Option<String>, OpenError> {
        let info = self.within(async |connection| {
            let mut ask = redis::cmd("INFO");
            ask.arg("memory").query_async::<String>(connection).await
        });
        let info = match info.await {
            Ok(info) => info,
            // Some hosts do not let their tenants ask.
            Err(Trouble::Redis(error))
                if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) =>
            {
                return Ok(None);
            }
            Err(trouble) => {
                return Err(self.unreachable(trouble.to_string()));
            }
        };
        let field = |name: &str| {
            info.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        let is_bounded = field("maxmemory").is_some_and(|limit| limit != "0");
        let policy =
            field("maxmemory_policy").filter(|policy| is_bounded && *policy != "noeviction");
        Ok(policy.map(str::to_owned))
    }

    /// Lets the connection go; no other is made.
    pub(super) fn close(&self) {
        let mut slot = self.slot.lock();
        slot.is_closed = true;
        slot.connection = None;
    }

    async fn within<T>(
        &self,
        act: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, Trouble> {
        let mut used = None;
        let done = timeout(self.patience.operation, async {
            let (number, mut connection) = self.connection().await?;
            used = Some(number);
            act(&mut connection).await.map_err(Trouble::Redis)
        });
        let done = done.await.unwrap_or(Err(Trouble::Late));
        if let (Err(trouble), Some(number)) = (&done, used)
            && trouble.is_of_the_connection()
        {
            self.forget(number);
        }
        done
    }

    /// The connection, made where there is none.
    async fn connection(&self) -> Result<(u64, MultiplexedConnection), Trouble> {
        if let Some(there) = self.slot.lock().there()? {
            return Ok(there);
        }
        let _making = self.making.lock().await;
        if let Some(there) = self.slot.lock().there()? {
            return Ok(there);
        }
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience.connect))
            // The operation's own time, which runs already, ends it.
            .set_response_timeout(None);
        let made = self
            .client
            .get_multiplexed_async_connection_with_config(&settings);
        let connection = made.await.map_err(Trouble::Redis)?;
        self.slot.lock().put(connection)
    }

    /// Lets connection `number` go, if it is still the one in use.
    fn forget(&self, number: u64) {
        let mut slot = self.slot.lock();
        if slot.number == number {
            slot.connection = None;
        }
    }
}

impl Slot {
    fn there(&self) -> Result<Option<(u64, MultiplexedConnection)>, Trouble> {
        if self.is_closed {
            return Err(Trouble::Closed);
        }
        let connection = self.connection.as_ref();
        Ok(connection.map(|connection| (self.number, connection.clone())))
    }

    fn put(
        &mut self,
        connection: MultiplexedConnection,
    ) -> Result<(u64, MultiplexedConnection), Trouble> {
        // Closed meanwhile.
        if self.is_closed {
            return Err(Trouble::Closed);
        }
        self.number += 1;
        self.connection = Some(connection.clone());
        Ok((self.number, connection))
    }
}

impl Trouble {
    /// Another connection may do better.
    fn is_of_the_connection(&self) -> bool {
        match self {
            Self::Late => true,
            Self::Closed => false,
            Self::Redis(error) => match error.kind() {
                // A server that was demoted: the name may lead to its successor now.
                ErrorKind::Server(kind) => {
                    matches!(
                        kind,
                        ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown
                    )
                }
                ErrorKind::Extension | ErrorKind::UnexpectedReturnType => false,
                _ => true,
            },
        }
    }

    /// Waiting may help.
    fn may_pass(&self) -> bool {
        match self {
            Self::Late => true,
            Self::Closed => false,
            Self::Redis(error) => matches!(
                error.kind(),
                ErrorKind::Io
                    | ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown)
            ),
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Redis(error) => error.fmt(f),
            Self::Closed => f.write_str("it was closed"),
            Self::Late => f.write_str("it did not answer in time"),
        }
    }
}

fn client(server: Server, tcp: TcpSettings) -> Result<Client, OpenError> {
    let info = server.info.set_tcp_settings(tcp);
    let refused = |fault: String| OpenError::Config {
        key: if server.ca.is_some() { "ca" } else { "url" },
        fault,
        remedy: "name a file of certificates in PEM form".to_owned(),
    };
    let made = match &server.ca {
        None => Client::open(info),
        Some(path) => {
            let root = std::fs::read(path);
            let root = root
                .map_err(|error| refused(format!("{} cannot be read ({error})", path.display())))?;
            let authorities = TlsCertificates {
                client_tls: None,
                root_cert: Some(root),
            };
            Client::build_with_tls(info, authorities)
        }
    };
    made.map_err(|error| refused(format!("cannot be used ({error})")))
}
