//! What comes back: who is believed, and what is done once.

use crate::internet::{Internet, Mx};
use crate::mta::Mta;
use crate::talk::Talk;
use mailwright::peers::sink::Message;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const DAY: Duration = Duration::from_secs(86_400);

/// A daemon that takes what comes back, and a message of its list that was delivered to ann.
pub async fn delivered(net: &Internet, mx: &Mx) -> (Mta, Mail) {
    delivered_with(net, mx, "").await
}

/// The same with more keys.
pub async fn delivered_with(net: &Internet, mx: &Mx, keys: &str) -> (Mta, Mail) {
    let mta = net.mta(&format!("[inbound]\n{keys}")).await;
    let fields = "X-Mailwright-Tenant: acme\r\nX-Mailwright-List: news\r\nX-Mailwright-Stream: marketing\r\n";
    mta.inject_as(fields, "ann@example.net").await;
    mta.journal.first("delivered", "ann@example.net").await;
    let mail = Mail::of(&mx.only());
    (mta, mail)
}

/// Where a message that arrived says that things go.
pub struct Mail {
    pub return_path: String,
    pub reference: String,
    pub mailto: String,
    pub link: String,
}

impl Mail {
    fn of(message: &Message) -> Mail {
        let list = message.header("List-Unsubscribe").expect("a link");
        let between = |start: &str| {
            let (_, rest) = list.split_once(start).expect("such a link");
            rest.split_once('>').expect("its end").0.to_owned()
        };
        let mailto = between("<mailto:");
        Mail {
            return_path: message.sender.to_string(),
            reference: message.header("X-Mailwright-Ref").expect("a reference"),
            mailto: mailto.split('?').next().unwrap_or_default().to_owned(),
            link: between("<https://u.shop.test"),
        }
    }
}

/// What is heard when a message comes to `to`.
pub async fn receive(mta: &Mta, to: &str, message: &str) -> String {
    let mut talk = Talk::open(mta.inbound()).await;
    talk.submit("", &[to], message).await
}

pub async fn rcpt(mta: &Mta, to: &str) -> String {
    let mut talk = Talk::open(mta.inbound()).await;
    talk.say("MAIL FROM:<>").await;
    talk.say(&format!("RCPT TO:<{to}>")).await
}

/// What the platform hears when it sends to the recipient again.
pub async fn sending_again(mta: &Mta, to: &str) -> String {
    let mut talk = Talk::open(mta.smtp).await;
    talk.say("MAIL FROM:<s@shop.test>").await;
    talk.say(&format!("RCPT TO:<{to}>")).await
}

/// Events of a kind so far.
pub fn count(mta: &Mta, kind: &str) -> usize {
    let events = mta.journal.events();
    events.iter().filter(|event| event.kind() == kind).count()
}

/// The public page as a client sees it, head and body.
pub async fn ask(mta: &Mta, method: &str, path: &str, (kind, body): (&str, &str)) -> String {
    let mut socket = TcpStream::connect(mta.page()).await.expect("a page");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: u.shop.test\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket
        .write_all(request.as_bytes())
        .await
        .expect("a client");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("text");
    answer
}

pub const ONE_CLICK: (&str, &str) = (
    "application/x-www-form-urlencoded",
    "List-Unsubscribe=One-Click",
);
const NOTHING: (&str, &str) = ("text/plain", "");

/// One character of the token is another.
fn forged(address: &str) -> String {
    let other = if &address[20..21] == "0" { "1" } else { "0" };
    format!("{}{other}{}", &address[..20], &address[21..])
}

#[tokio::test]
async fn strangers_cannot_relay_and_learn_nothing() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let (mta, _) = delivered(&net, &mx).await;
    let mut talk = Talk::open(mta.inbound()).await;
    assert!(talk.say("AUTH PLAIN AGFubgB4").await.starts_with("502"));
    assert!(talk.say("VRFY postmaster").await.starts_with("502"));
    talk.say("MAIL FROM:<s@shop.test>").await;
    for to in [
        "ann@example.net",
        "\"ann@example.net\"@elsewhere.test",
        "ann%example.net@other.test",
        "ann@mta.test",
    ] {
        let reply = talk.say(&format!("RCPT TO:<{to}>")).await;
        assert!(reply.starts_with("550 5.7.1"), "{to}: {reply}");
    }
    for to in [
        "s@bounce.test",
        "ann%example.net@bounce.test",
        "b@bounce.test",
    ] {
        let reply = talk.say(&format!("RCPT TO:<{to}>")).await;
        assert!(reply.starts_with("550 5.1.1"), "{to}: {reply}");
    }
    assert!(talk.say("DATA").await.starts_with("554"));
    assert_eq!(mx.messages().len(), 1);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_return_path_that_is_forged_or_too_old_is_refused_and_counted() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let (mta, mail) = delivered(&net, &mx).await;
    let reply = rcpt(&mta, &forged(&mail.return_path)).await;
    assert!(reply.starts_with("550 5.1.1"), "{reply}");
    // Letters lose their case on the way.
    let reply = rcpt(&mta, &mail.return_path.to_uppercase()).await;
    assert!(reply.starts_with("250"), "{reply}");
    net.clock.advance(61 * DAY);
    let reply = rcpt(&mta, &mail.return_path).await;
    assert!(
        reply.starts_with("550 5.1.6") && reply.contains("too old"),
        "{reply}"
    );
    let (_, metrics) = mta
        .request("GET", "/metrics", &serde_json::Value::Null)
        .await;
    for what in ["forged-token", "expired-token"] {
        let line = format!("mailwright_inbound_total{{what=\"{what}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
    mta.journal
        .nth(2, "refusals", |e| e.kind() == "rejected")
        .await;
    assert_eq!(count(&mta, "suppression"), 0);
    net.check(&mta).await;
}

#[tokio::test]
async fn what_nobody_understands_and_mail_to_postmaster_are_kept() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let (mta, mail) = delivered(&net, &mx).await;
    let garbage =
        "Subject: =?x?\r\nContent-Type: multipart/mixed; boundary=\"\r\n\r\n\u{1}\u{fc}\r\n";
    assert!(
        receive(&mta, &mail.return_path, garbage)
            .await
            .starts_with("250")
    );
    let letter = "From: <a@far.test>\r\nSubject: your mail\r\n\r\nPlease call me.\r\n";
    assert!(
        receive(&mta, "postmaster@bounce.test", letter)
            .await
            .starts_with("250")
    );
    let event = mta.journal.nth(2, "unread", |e| e.kind() == "unread").await;
    let (_, path) = event.text("why").split_once("kept as ").expect("a path");
    let kept = std::fs::read_to_string(path).expect("a file");
    assert!(kept.ends_with("Please call me.\r\n"), "{kept}");
    let kept = std::fs::read_dir(mta.dir.join("data/inbound/unread")).expect("a directory");
    assert_eq!(kept.count(), 2);
    assert_eq!(count(&mta, "suppression"), 0);
    net.check(&mta).await;
}

#[tokio::test]
async fn one_click_unsubscribes_once_and_a_link_scanner_nobody() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let (mta, mail) = delivered(&net, &mx).await;
    let page = ask(&mta, "GET", &mail.link, NOTHING).await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    for part in [
        "a***@e***.net",
        "<form method=\"post\">",
        "no-store",
        "default-src 'none'",
        "noindex",
    ] {
        assert!(page.contains(part), "{part} not in {page}");
    }
    assert!(!page.to_lowercase().contains("set-cookie") && !page.contains("ann@"));
    let head = ask(&mta, "HEAD", &mail.link, NOTHING).await;
    assert!(
        head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert_eq!(count(&mta, "unsubscribed"), 0);
    let other = ("application/x-www-form-urlencoded", "a=b");
    let refused = ask(&mta, "POST", &mail.link, other).await;
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");

    for _ in 0..2 {
        let done = ask(&mta, "POST", &mail.link, ONE_CLICK).await;
        assert!(
            done.starts_with("HTTP/1.1 200") && done.ends_with("unsubscribed\n"),
            "{done}"
        );
    }
    let event = mta.journal.first("unsubscribed", "ann@example.net").await;
    assert_eq!(event.text("tenant"), "acme");
    assert_eq!(count(&mta, "unsubscribed"), 1);
    let suppressed = mta.journal.first("suppression", "ann@example.net").await;
    assert_eq!(suppressed.text("reason"), "unsubscribe");
    // The list is left, and nothing else.
    let news = "X-Mailwright-Tenant: acme\r\nX-Mailwright-List: news\r\n";
    let refusal = mta.refusal(news, "ann@example.net").await;
    assert!(refusal.starts_with("550 5.7.1"), "{refusal}");
    mta.inject_as(
        "X-Mailwright-Tenant: acme\r\nX-Mailwright-List: offers\r\n",
        "ann@example.net",
    )
    .await;
    mta.empty().await;
    net.check(&mta).await;
}

#[tokio::test]
async fn links_that_are_forged_or_too_old_say_so() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let (mta, mail) = delivered(&net, &mx).await;
    for path in [
        forged(&mail.link).as_str(),
        "/u/x",
        "/u/%00%ff",
        "/",
        "/metrics",
    ] {
        let page = ask(&mta, "POST", path, ONE_CLICK).await;
        assert!(
            page.starts_with("HTTP/1.1 404") || page.starts_with("HTTP/1.1 400"),
            "{path}: {page}"
        );
    }
    net.clock.advance(61 * DAY);
    for method in ["GET", "POST"] {
        let page = ask(&mta, method, &mail.link, ONE_CLICK).await;
        assert!(
            page.starts_with("HTTP/1.1 410") && page.contains("too old"),
            "{page}"
        );
    }
    assert_eq!(count(&mta, "unsubscribed"), 0);
    net.check(&mta).await;
}

#[tokio::test]
async fn mail_to_the_address_in_list_unsubscribe_unsubscribes() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let (mta, mail) = delivered(&net, &mx).await;
    let letter = "From: <ann@example.net>\r\nSubject: unsubscribe\r\n\r\n";
    for _ in 0..2 {
        let reply = receive(&mta, &mail.mailto, letter).await;
        assert!(reply.starts_with("250"), "{reply}");
    }
    mta.journal.first("unsubscribed", "ann@example.net").await;
    assert_eq!(count(&mta, "unsubscribed"), 1);
    net.check(&mta).await;
}
