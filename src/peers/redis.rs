//! A Redis server as a process of its own, on loopback, in a directory that goes with it.
//!
//! It appends every write to a file, so that what it answered for is there again after [`RedisServer::stop`] or a kill,
//! and [`RedisServer::restart`]; [`RedisServer::restart_empty`] plays one that was set up without.

use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The server. Its process and its directory are gone when it is dropped.
pub struct RedisServer {
    address: SocketAddr,
    dir: PathBuf,
    settings: Vec<String>,
    child: Option<Child>,
}

/// A start that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(5);
/// Another process may take the port between our finding it and the server's.
const PORTS: u32 = 5;

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        // What cannot be removed is left to the system's own cleaning of its temporary files.
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

impl RedisServer {
    /// Starts `redis-server` on a free port of 127.0.0.0/8, empty.
    ///
    /// # Errors
    /// The program is not installed (the text says what to install), or does not start.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(&[]).await
    }

    /// As [`RedisServer::start`], with more arguments, such as `["--requirepass", "secret"]`.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn start_with(settings: &[&str]) -> io::Result<Self> {
        let name = format!("mailwright-redis-{:016x}", rand::random::<u64>());
        let mut server = Self {
            address: free_address()?,
            dir: std::env::temp_dir().join(name),
            settings: settings.iter().map(|&text| text.to_owned()).collect(),
            child: None,
        };
        std::fs::create_dir_all(&server.dir)?;
        for _ in 1..PORTS {
            match server.restart().await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    server.address = free_address()?;
                }
                started => return started.map(|()| server),
            }
        }
        server.restart().await.map(|()| server)
    }

    /// `redis://address/0`.
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it keeps its files while it lives.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop(&mut self) -> io::Result<()> {
        self.signal(Signal::TERM)?;
        let since = Instant::now();
        while let Some(child) = &mut self.child {
            if child.try_wait()?.is_some() {
                self.child = None;
            } else if since.elapsed() > PATIENCE {
                return Err(io::Error::other("redis-server does not end"));
            } else {
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only where it has ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Starts it again, on the same port, with what it held.
    ///
    /// # Errors
    /// It does not start.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.kill();
        let log = std::fs::File::create(self.log())?;
        let child = Command::new(PROGRAM)
            .args(["--bind", &self.address.ip().to_string()])
            .args(["--port", &self.address.port().to_string()])
            .args(["--save", "", "--appendonly", "yes", "--daemonize", "no"])
            .arg("--dir")
            .arg(&self.dir)
            .args(&self.settings)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        self.child = Some(child.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::other(MISSING),
            _ => error,
        })?);
        self.wait_until_up().await
    }

    /// Starts it again, on the same port, with nothing.
    ///
    /// # Errors
    /// It does not start.
    pub async fn restart_empty(&mut self) -> io::Result<()> {
        self.kill();
        std::fs::remove_dir_all(&self.dir)?;
        std::fs::create_dir_all(&self.dir)?;
        self.restart().await
    }

    /// Stops its process where it is (SIGSTOP): connections stay, and nothing is answered.
    ///
    /// # Errors
    /// It has ended.
    pub fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It has ended.
    pub fn thaw(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match &self.child {
            Some(child) => Ok(kill_process(Pid::from_child(child), signal)?),
            None => Ok(()),
        }
    }

    async fn wait_until_up(&mut self) -> io::Result<()> {
        let since = Instant::now();
        while !self.said().contains(READY) {
            let ended = match &mut self.child {
                Some(child) => child.try_wait()?,
                None => None,
            };
            if ended.is_some() || since.elapsed() > PATIENCE {
                return Err(self.failure());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    fn failure(&self) -> io::Error {
        let log = self.said();
        let kind = if log.contains("Address already in use") {
            io::ErrorKind::AddrInUse
        } else {
            io::ErrorKind::Other
        };
        io::Error::new(kind, format!("redis-server does not start:\n{log}"))
    }

    /// What it has told since it was started.
    fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.dir.join("log")
    }
}

/// What it says when it has read its files and serves.
const READY: &str = "Ready to accept connections";
const PROGRAM: &str = "redis-server";
const MISSING: &str = "redis-server is not installed: `apt-get install redis-server`, or run tests/run, which does it";

/// A port that nobody has now, on an address that few others use.
fn free_address() -> io::Result<SocketAddr> {
    let [b, c, d] = std::array::from_fn(|_| rand::random_range(1..=254));
    TcpListener::bind((Ipv4Addr::new(127, b, c, d), 0))?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    #[tokio::test]
    async fn what_it_held_is_there_again_and_nothing_is_left_of_it_in_the_end() {
        let mut server = RedisServer::start().await.unwrap();
        let (address, dir) = (server.address(), server.dir().to_owned());
        let say = |words: &str| -> io::Result<String> {
            let mut stream = TcpStream::connect(address)?;
            write!(stream, "{words}\r\nQUIT\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        assert_eq!(say("SET a 1").unwrap(), "+OK\r\n+OK\r\n");
        server.kill();
        assert!(say("GET a").is_err());
        server.restart().await.unwrap();
        assert_eq!(say("GET a").unwrap(), "$1\r\n1\r\n+OK\r\n");
        server.stop().await.unwrap();
        assert!(say("GET a").is_err());
        server.restart_empty().await.unwrap();
        assert_eq!(say("GET a").unwrap(), "$-1\r\n+OK\r\n");
        drop(server);
        assert!(say("GET a").is_err());
        assert!(!dir.exists());
    }

    #[tokio::test]
    async fn a_server_that_does_not_start_says_why() {
        let refused = RedisServer::start_with(&["--no-such-setting", "1"]).await;
        let refused = refused.err().unwrap().to_string();
        assert!(refused.contains("no-such-setting"), "{refused}");
    }
}
