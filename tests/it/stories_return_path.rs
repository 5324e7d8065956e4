//! What leaves carries a token, so that what comes back finds it.

use crate::internet::{Internet, START};
use crate::mta::Mta;
use crate::stories_delivery::verify;
use crate::talk::Talk;
use mailwright::auth::dkim::{Algorithm, generate};
use mailwright::books::{Books, Entry};
use mailwright::bounce::token::{Keys, Purpose, Token};
use mailwright::mail::MessageId;
use mailwright::peers::sink::Message;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
const DOMAIN: &str = "[return_path]\ndomain = \"bounces.shop.test\"\n";

/// The keys that read the tokens of `mta`.
fn own_keys(mta: &Mta) -> Keys {
    let text = std::fs::read_to_string(mta.dir.join("data/keys/token.key")).expect("a key");
    Keys::new(&[text.trim()], 60 * DAY).expect("a good key")
}

fn opened(keys: &Keys, token: &str) -> Token {
    let token = keys.open(token, Purpose::Return, START);
    token.unwrap_or_else(|error| panic!("{error}"))
}

/// The token in the return path of a message that arrived.
fn token_of(message: &Message) -> &str {
    let (local, domain) = message.sender.split_once('@').expect("an address");
    assert_eq!(domain, "bounces.shop.test");
    local.strip_prefix("b-").expect("a token")
}

/// What the books of a daemon that has stopped say of a message.
async fn found(net: &Internet, dir: &Path, id: &str) -> Option<Entry> {
    let dir = dir.join("data/books");
    let books = Books::open(&dir, net.clock.clone(), Box::new(|| 60 * DAY)).expect("books");
    let id: MessageId = id.parse().expect("an id");
    let entry = books.find(id).await.expect("a good file");
    books.close().await;
    entry
}

fn to<'a>(messages: &'a [Arc<Message>], recipient: &str) -> &'a Message {
    let own = |message: &&Arc<Message>| *message.recipients == [Box::from(recipient)];
    let mut all = messages.iter().filter(own);
    let message = all
        .next()
        .unwrap_or_else(|| panic!("nothing for {recipient} alone"));
    assert!(all.next().is_none(), "twice to {recipient}");
    message
}

#[tokio::test]
async fn greylisting_sees_the_same_return_path_again() {
    let net = Internet::new().await;
    let grey = "each=1 451 4.7.1 greylisted, come back in 5 minutes";
    // One count for each sender: another return path would be put off again.
    let mx = net.mx("example.net").on("MAIL", grey).start().await;
    let mta = net.mta(DOMAIN).await;
    let id = mta.inject("news@shop.test", &["ann@example.net"]).await;
    let delivered = mta.outcome("ann@example.net").await;
    assert_eq!(
        (delivered.kind(), &delivered.0["attempt"]),
        ("delivered", &2.into())
    );
    assert_eq!(delivered.text("sender"), "news@shop.test");
    let token = opened(&own_keys(&mta), token_of(&mx.only()));
    assert_eq!(token, Token::new(id.parse().unwrap(), Some(0), None));
    net.check(&mta).await;
}

#[tokio::test]
async fn two_recipients_at_one_mx_have_a_transaction_and_a_return_path_each() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let mta = net.mta(DOMAIN).await;
    let both = ["ann@example.net", "bob@example.net"];
    let id = mta.inject("news@shop.test", &both).await;
    for recipient in both {
        mta.journal.first("delivered", recipient).await;
    }
    let (keys, messages) = (own_keys(&mta), mx.messages());
    let id: MessageId = id.parse().unwrap();
    for (position, recipient) in (0..).zip(both) {
        let token = opened(&keys, token_of(to(&messages, recipient)));
        assert_eq!(token, Token::new(id, Some(position), None));
        // The content is the same for both, and so names neither.
        let reference = to(&messages, recipient).header("X-Mailwright-Ref");
        let reference = reference.expect("a reference");
        assert_eq!(opened(&keys, &reference), Token::new(id, None, None));
    }
    let connections: Vec<u64> = messages.iter().map(|m| m.connection).collect();
    assert_eq!(connections, [1, 1], "one connection carries both");
    net.check(&mta).await;
}

#[tokio::test]
async fn the_null_sender_and_return_paths_that_a_tenant_keeps_stay_as_they_are() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let tenants =
        "[[tenant]]\nname = \"kept\"\ndomains = [\"shop.test\"]\nreturn_path_domain = \"\"\n";
    let mta = net.mta(&format!("{DOMAIN}{tenants}")).await;
    let both = ["ann@example.net", "bob@example.net"];
    mta.inject("", &both).await;
    for recipient in both {
        mta.journal.first("delivered", recipient).await;
    }
    let auto = mx.only();
    assert_eq!((&*auto.sender, auto.recipients.len()), ("", 2));

    mta.inject_as("X-Mailwright-Tenant: kept\r\n", "cat@example.net")
        .await;
    mta.journal.first("delivered", "cat@example.net").await;
    let kept = mx.messages();
    let kept = to(&kept, "cat@example.net");
    assert_eq!(&*kept.sender, "s@shop.test");
    assert_eq!(kept.header("X-Mailwright-Ref"), None);
    net.check(&mta).await;
}

#[tokio::test]
async fn what_the_sender_asked_of_notices_goes_out_and_ours_go_to_the_sender() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .on("RCPT", "bob@* 550 5.1.1 no such user")
        .start()
        .await;
    let home = net.mx("shop.test").start().await;
    let mta = net.mta(DOMAIN).await;
    let mut talk = Talk::open(mta.smtp).await;
    talk.say("MAIL FROM:<news@shop.test> RET=HDRS ENVID=order-7")
        .await;
    talk.say("RCPT TO:<ann@example.net> NOTIFY=FAILURE").await;
    talk.say("RCPT TO:<bob@example.net> NOTIFY=FAILURE").await;
    talk.say("DATA").await;
    talk.send(b"From: <s@shop.test>\r\nSubject: hello\r\n\r\nHello.\r\n.\r\n")
        .await;
    assert!(talk.reply().await.starts_with("250"));
    mta.journal.first("delivered", "ann@example.net").await;
    let bounced = mta.journal.first("bounced", "bob@example.net").await;
    assert_eq!(bounced.text("sender"), "news@shop.test");
    mta.journal.first("delivered", "news@shop.test").await;
    let parameters = &mx.only().parameters;
    assert!(
        parameters.contains("RET=HDRS") && parameters.contains("ENVID=order-7"),
        "{parameters}"
    );
    let notice = home.only();
    assert_eq!(
        (&*notice.sender, &*notice.recipients),
        ("", &[Box::from("news@shop.test")][..])
    );
    assert_eq!(
        notice.header("X-Mailwright-Ref"),
        None,
        "nothing comes back of a notice"
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn the_content_names_its_message_in_signed_fields() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let key = net.path("s1.pem");
    let published = generate(Algorithm::Rsa2048, &key).expect("a key").text();
    let keys = format!(
        "{DOMAIN}[[dkim]]\ndomain = \"shop.test\"\nselector = \"s1\"\nkey = \"{}\"\n\
         [feedback]\naddress = \"fbl@bounces.shop.test\"\n[unsubscribe]\nurl = \"https://u.shop.test\"\n",
        key.display()
    );
    let mta = net.mta(&keys).await;
    // Another node of ours may have put in its own.
    let text = "From: <s@shop.test>\r\nX-Mailwright-Ref: forged\r\n\r\nHello.\r\n";
    let mut talk = Talk::open(mta.smtp).await;
    let reply = talk
        .submit("news@shop.test", &["ann@example.net"], text)
        .await;
    assert!(reply.starts_with("250"), "{reply}");
    mta.journal.first("delivered", "ann@example.net").await;

    let message = mx.only();
    let token = token_of(&message).to_owned();
    let field = |name: &str| message.header(name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(field("X-Mailwright-Ref"), token);
    assert_eq!(field("Message-ID"), format!("<{token}@mta.test>"));
    assert_eq!(field("CFBL-Address"), "fbl@bounces.shop.test; report=arf");
    assert_eq!(field("CFBL-Feedback-ID"), token);
    assert_eq!(field("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    verify(&net.path("arrived.eml"), &message.content, &published);
    let signature = field("DKIM-Signature").replace(' ', "");
    for covered in [
        "message-id",
        "x-mailwright-ref",
        "cfbl-address",
        "cfbl-feedback-id",
        "list-unsubscribe",
        "list-unsubscribe-post",
    ] {
        assert!(
            signature.contains(&format!(":{covered}")),
            "{covered} in {signature}"
        );
    }
    let references = String::from_utf8_lossy(&message.content)
        .matches("X-Mailwright-Ref:")
        .count();
    assert_eq!(references, 1);
    net.check(&mta).await;
}

#[tokio::test]
async fn only_marketing_to_one_recipient_without_a_link_of_its_own_gets_one() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let keys = "[unsubscribe]\nurl = \"https://u.shop.test/\"\nmailto_domain = \"bounces.shop.test\"\n\
                [[tenant]]\nname = \"quiet\"\ndomains = [\"shop.test\"]\nlist_unsubscribe = false\n";
    let mta = net.mta(keys).await;
    let own = "List-Unsubscribe: <https://shop.test/leave>\r\n";
    for (fields, recipient) in [
        ("", "ann@example.net"),
        (own, "own@example.net"),
        (
            "X-Mailwright-Stream: transactional\r\n",
            "order@example.net",
        ),
        ("X-Mailwright-Tenant: quiet\r\n", "quiet@example.net"),
    ] {
        mta.inject_as(fields, recipient).await;
        mta.journal.first("delivered", recipient).await;
    }
    mta.inject("news@shop.test", &["bob@example.net", "cat@example.net"])
        .await;
    mta.journal.first("delivered", "cat@example.net").await;
    let messages = mx.messages();
    let link = |recipient: &str| to(&messages, recipient).header("List-Unsubscribe");
    let with = link("ann@example.net").expect("a link");
    let token = with
        .strip_prefix("<https://u.shop.test/u/")
        .expect("a link");
    let (token, mailto) = token.split_once(">, ").expect("two places");
    assert_eq!(mailto, format!("<mailto:u-{token}@bounces.shop.test>"));
    let opened = own_keys(&mta).open(token, Purpose::Unsubscribe, START);
    assert_eq!(opened.unwrap().recipient, Some(0));
    assert_eq!(
        link("own@example.net").as_deref(),
        Some("<https://shop.test/leave>")
    );
    assert_eq!(
        to(&messages, "own@example.net").header("List-Unsubscribe-Post"),
        None
    );
    for without in ["order@example.net", "quiet@example.net"] {
        assert_eq!(link(without), None, "{without}");
    }
    let several = messages
        .iter()
        .find(|message| message.recipients.len() == 2);
    assert_eq!(
        several.expect("one for two").header("List-Unsubscribe"),
        None
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn tokens_of_before_a_rotation_are_read_and_new_ones_have_the_new_key() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let secrets = ["o".repeat(40), "n".repeat(40)];
    let files = ["old.key", "new.key"].map(|name| net.path(name));
    for (file, secret) in files.iter().zip(&secrets) {
        std::fs::write(file, secret).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(file, mode).expect("a file of ours");
    }
    let [old, new] = files.map(|file| format!("\"file:{}\"", file.display()));
    let mta = net.mta(&format!("{DOMAIN}keys = [{old}]\n")).await;
    mta.inject("news@shop.test", &["ann@example.net"]).await;
    mta.journal.first("delivered", "ann@example.net").await;
    let (status, said) = mta
        .reload(&format!("{DOMAIN}keys = [{new}, {old}]\n"))
        .await;
    assert_eq!(status, 200, "{said}");
    mta.inject("news@shop.test", &["bob@example.net"]).await;
    mta.journal.first("delivered", "bob@example.net").await;

    let messages = mx.messages();
    let token = |recipient| token_of(to(&messages, recipient));
    let [old, new] = secrets;
    let both = Keys::new(&[&new, &old], 60 * DAY).expect("good keys");
    let new = Keys::new(&[&new], 60 * DAY).expect("a good key");
    opened(&both, token("ann@example.net"));
    assert!(
        new.open(token("ann@example.net"), Purpose::Return, START)
            .is_err()
    );
    opened(&new, token("bob@example.net"));
    assert!(
        !mta.dir.join("data/keys/token.key").exists(),
        "none is made beside them"
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn the_books_have_what_was_delivered_over_a_restart_and_as_long_as_its_token_is_good() {
    let net = Internet::new().await;
    let _mx = net
        .mx("example.net")
        .on("RCPT", "bob@* first=1 451 4.2.0 later")
        .on("RCPT", "cat@* 550 5.1.1 no such user")
        .start()
        .await;
    let mta = net.mta(DOMAIN).await;
    let all = ["ann@example.net", "bob@example.net", "cat@example.net"];
    let text = "From: <s@shop.test>\r\nX-Mailwright-Campaign: spring\r\n\r\nHello.\r\n";
    let id = mta.inject_text("news@shop.test", &all, text).await;
    mta.journal.first("delivered", "ann@example.net").await;
    mta.journal.first("bounced", "cat@example.net").await;
    mta.deferral("bob@example.net").await;
    let mta = mta.restart().await;
    assert_eq!(mta.outcome("bob@example.net").await.kind(), "delivered");
    net.check(&mta).await;
    let dir = mta.dir.clone();
    mta.stop().await;

    let entry = found(&net, &dir, &id).await.expect("it is in the books");
    assert_eq!(entry.labels.campaign.as_deref(), Some("spring"));
    assert_eq!(entry.sender.unwrap().as_str(), "news@shop.test");
    let sent = entry.recipients.iter();
    let sent: Vec<_> = sent
        .map(|s| (s.position, s.address.as_str(), s.attempt))
        .collect();
    assert_eq!(sent, [(0, "ann@example.net", 1), (1, "bob@example.net", 2)]);
    assert!(
        entry
            .recipients
            .iter()
            .all(|sent| sent.site.is_some() && !sent.returned)
    );

    net.advance_to(START + 61 * DAY);
    assert_eq!(found(&net, &dir, &id).await, None);
    let left = std::fs::read_dir(dir.join("data/books")).expect("a directory");
    assert_eq!(left.count(), 0, "the day has gone");
}

#[tokio::test]
async fn where_nothing_comes_back_to_us_mail_is_as_it_was_and_no_books_are_kept() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let mta = net.mta("").await;
    let both = ["ann@example.net", "bob@example.net"];
    mta.inject("news@shop.test", &both).await;
    for recipient in both {
        mta.journal.first("delivered", recipient).await;
    }
    let message = mx.only();
    assert_eq!(
        (&*message.sender, message.recipients.len()),
        ("news@shop.test", 2)
    );
    for absent in ["X-Mailwright-Ref", "CFBL-Address", "List-Unsubscribe"] {
        assert_eq!(message.header(absent), None);
    }
    net.check(&mta).await;
    let dir = mta.dir.clone();
    mta.stop().await;
    let books = std::fs::read_dir(dir.join("data/books")).expect("a directory");
    assert_eq!(books.count(), 0);
}

/// Once a message with more recipients than a connection takes messages opened the next connection unasked.
#[tokio::test]
async fn a_message_to_many_opens_connections_no_faster_than_configured() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let keys = format!(
        "{DOMAIN}[delivery]\nmax_messages_per_connection = 2\n[limits.site]\nconnection_rate = \"1/min\"\n"
    );
    let mta = net.mta(&keys).await;
    let all: Vec<String> = (0..5).map(|n| format!("r{n}@example.net")).collect();
    let to: Vec<&str> = all.iter().map(String::as_str).collect();
    mta.inject("news@shop.test", &to).await;
    for minute in 0..2 {
        mta.all_held_by("limit").await;
        let totals = mx.totals();
        assert_eq!(
            (totals.connections, totals.messages),
            (minute + 1, 2 * (minute + 1))
        );
        net.clock.advance(Duration::from_secs(60));
    }
    mta.empty().await;
    assert_eq!(mx.totals().messages, 5);
    net.check(&mta).await;
}
