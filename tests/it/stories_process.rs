//! The daemon as a process among signals.

use crate::daemon::Daemon;
use crate::journal::Event;
use crate::talk::Talk;
use mailwright::peers::sink::{Sink, SinkConfig};

fn route(sink: &Sink) -> String {
    let to = sink.address();
    format!("[[route]]\ndomain = \"*\"\nnext_hop = [\"{to}\"]\nallow_loopback = true\n")
}

async fn send(daemon: &Daemon, recipient: &str) {
    let text = "From: <s@shop.test>\r\nSubject: hello\r\n\r\nHello.\r\n";
    let mut talk = Talk::open(daemon.smtp).await;
    let reply = talk.submit("s@shop.test", &[recipient], text).await;
    assert!(reply.starts_with("250"), "{reply}");
    daemon.journal().first("delivered", recipient).await;
}

#[tokio::test]
async fn sighup_takes_over_a_good_configuration_and_refuses_a_bad_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let sink = async || {
        Sink::bind(SinkConfig::default())
            .await
            .expect("a free port")
    };
    let (first, second) = (sink().await, sink().await);
    let mut daemon = Daemon::new(dir.path(), &route(&first));
    daemon.start().await;
    send(&daemon, "a@one.example").await;

    let told = |ok: bool| move |e: &Event| e.kind() == "config" && e.0["ok"] == ok;
    daemon.reconfigure("[retry]\nfirst = \"0s\"\n");
    let refused = daemon
        .journal()
        .nth(1, "refused configuration", told(false))
        .await;
    assert!(refused.text("why").contains("retry.first"), "{refused:?}");
    send(&daemon, "b@two.example").await;
    assert_eq!((first.totals().messages, second.totals().messages), (2, 0));

    daemon.reconfigure(&format!("{}[retry]\nfirst = \"5m\"\n", route(&second)));
    // The first is the start's own.
    daemon.journal().nth(2, "configuration", told(true)).await;
    send(&daemon, "c@three.example").await;
    assert_eq!((first.totals().messages, second.totals().messages), (2, 1));
    assert!(daemon.terminate().await.success());
}
