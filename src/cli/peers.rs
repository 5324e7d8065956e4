//! `sink` and `load`: the test peers as commands. They end at SIGINT or SIGTERM and then print their counts.

use super::{Exit, Failure, Outcome};
use crate::peers;
use std::io::{self, ErrorKind, Write};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub fn sink(args: peers::sink::Args, out: &mut dyn Write) -> Outcome {
    run(async |stop| peers::sink::run_command(args, stop, out).await)
}

pub fn load(args: peers::load::Args, out: &mut dyn Write) -> Outcome {
    run(async |stop| peers::load::run_command(args, stop, out).await.map(drop))
}

fn run(peer: impl AsyncFnOnce(CancellationToken) -> io::Result<()>) -> Outcome {
    super::telemetry::start();
    let runtime = tokio::runtime::Runtime::new()?;
    let ended = runtime.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(cancel_at_signal(stop.clone()));
        peer(stop).await
    });
    ended.map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => Failure::new(Exit::Usage, error.to_string()),
        ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable => {
            Failure::new(Exit::Unavailable, error.to_string())
        }
        _ => Failure::from(error),
    })
}

async fn cancel_at_signal(stop: CancellationToken) {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    stop.cancel();
}
