//! Reports about our mail: they come by mail or by hand, count once, and say who sends as us.

use crate::internet::Internet;
use crate::mta::Mta;
use crate::stories_inbound::{count, rcpt, receive};
use base64::Engine;
use serde_json::Value;
use std::io::Write;

const KEYS: &str = "[inbound]\nmax_message = \"1MiB\"\n[reports]\naddresses = [\"dmarc-reports@shop.test\"]\n\
                    domains = [\"shop.test\"]\nforeign_failing = 50\n[[source]]\nname = \"ip-a\"\naddress = \"192.0.2.1\"\n\
                    ehlo = \"a.shop.test\"\n[[pool]]\nname = \"default\"\nsources = [{ name = \"ip-a\" }]\n";

async fn daemon(net: &Internet) -> Mta {
    net.mta(KEYS).await
}

/// A report of yesterday: our source with 200 messages of which 20 fail, and a stranger with `foreign` that all fail.
fn report(net: &Internet, id: &str, foreign: u64) -> String {
    let end = net.clock.now().as_secs() / 86_400 * 86_400;
    let record = |ip: &str, count: u64, dkim: &str| {
        format!(
            "<record><row><source_ip>{ip}</source_ip><count>{count}</count><policy_evaluated><disposition>none\
             </disposition><dkim>{dkim}</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>shop.test\
             </header_from></identifiers></record>"
        )
    };
    format!(
        "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>google.com</org_name><report_id>{id}</report_id>\
         <date_range><begin>{}</begin><end>{}</end></date_range></report_metadata><policy_published><domain>shop.test\
         </domain><p>none</p></policy_published>{}{}{}</feedback>",
        end - 86_400,
        end - 1,
        record("192.0.2.1", 180, "pass"),
        record("192.0.2.1", 20, "fail"),
        record("198.51.100.7", foreign, "fail"),
    )
}

/// As reporters send it.
fn mail(report: &str) -> String {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(report.as_bytes()).expect("memory");
    let packed = packed.finish().expect("memory");
    let text = base64::engine::general_purpose::STANDARD.encode(packed);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(76)
        .map(|line| std::str::from_utf8(line).expect("base64"))
        .collect();
    format!(
        "From: noreply@google.com\r\nSubject: Report domain: shop.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;\
         \r\n\tboundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nThis is a report.\r\n--b\r\nContent-Type: \
         application/octet-stream; name=\"google.com!shop.test!1!2.xml.gz\"\r\nContent-Transfer-Encoding: base64\r\n\r\n\
         {}\r\n--b--\r\n",
        lines.join("\r\n")
    )
}

fn row<'v>(shown: &'v Value, address: &str) -> &'v Value {
    let rows = shown["sources"].as_array().expect("rows").iter();
    let mut rows = rows.filter(|row| row["source_ip"] == address);
    rows.next()
        .unwrap_or_else(|| panic!("no {address} in {shown}"))
}

#[tokio::test]
async fn a_report_by_mail_says_who_sends_as_us_and_that_our_own_stream_fails() {
    let net = Internet::new().await;
    let mta = daemon(&net).await;
    let message = mail(&report(&net, "1", 5_000));
    for _ in 0..2 {
        let reply = receive(&mta, "DMARC-Reports@shop.test", &message).await;
        assert!(reply.starts_with("250"), "{reply}");
    }

    let own =
        |event: &crate::journal::Event| event.is("report", "") && event.text("source") == "ip-a";
    let own = mta.journal.nth(1, "our stream fails", own).await;
    assert!(
        own.text("why").contains("20 of 200 messages"),
        "{}",
        own.text("why")
    );
    let foreign = |event: &crate::journal::Event| event.text("reason") == "foreign-sender";
    let foreign = mta.journal.nth(1, "a stranger", foreign).await;
    let why = foreign.text("why");
    assert!(
        why.contains("5000 of 5000 messages") && why.contains("198.51.100.7"),
        "{why}"
    );
    assert_eq!(count(&mta, "report"), 2);

    let shown = mta.get("/api/v1/reports?domain=shop.test&since=7d").await;
    let ours = row(&shown, "192.0.2.1");
    assert_eq!(
        (&ours["source"], &ours["messages"], &ours["dkim"]),
        (&"ip-a".into(), &200.into(), &180.into())
    );
    assert_eq!(row(&shown, "198.51.100.7")["source"], Value::Null);

    let advice = mta.get("/api/v1/reports/advice?domain=shop.test").await;
    assert_eq!(
        (&advice["reject"]["safe"], &advice["policy"]["p"]),
        (&"no".into(), &"none".into())
    );
    assert_eq!(
        (&advice["hit"][0]["kind"], &advice["hit"][0]["failed"]),
        (&"foreign".into(), &5_000.into())
    );
    net.check(&mta).await;
    mta.stop().await;
}

#[tokio::test]
async fn what_is_no_report_about_us_is_kept_and_other_addresses_are_refused() {
    let net = Internet::new().await;
    let mta = daemon(&net).await;
    let foreign = mail(&report(&net, "1", 60).replace("shop.test", "other.test"));
    for message in [&*foreign, "Subject: hello\r\n\r\nIs anybody there?\r\n"] {
        let reply = receive(&mta, "dmarc-reports@shop.test", message).await;
        assert!(reply.starts_with("250"), "{reply}");
    }
    mta.journal
        .nth(2, "unread", |event| event.kind() == "unread")
        .await;
    assert_eq!(count(&mta, "report"), 0);
    assert!(
        rcpt(&mta, "tls-reports@shop.test")
            .await
            .starts_with("550 5.1.1")
    );
    assert_eq!(
        mta.get("/api/v1/reports").await["sources"],
        Value::Array(Vec::new())
    );
    net.check(&mta).await;
    mta.stop().await;
}

#[tokio::test]
async fn reports_are_there_after_a_restart_and_a_bomb_is_refused() {
    let net = Internet::new().await;
    let mta = daemon(&net).await;
    receive(
        &mta,
        "dmarc-reports@shop.test",
        &mail(&report(&net, "1", 1)),
    )
    .await;
    let bomb = mail(&format!("<feedback>{}", " ".repeat(30 << 20)));
    receive(&mta, "dmarc-reports@shop.test", &bomb).await;
    let unread = mta
        .journal
        .nth(1, "unread", |event| event.kind() == "unread")
        .await;
    assert!(
        unread.text("why").contains("more in it than"),
        "{}",
        unread.text("why")
    );
    let mta = mta.restart().await;
    let shown = mta.get("/api/v1/reports").await;
    assert_eq!(row(&shown, "192.0.2.1")["messages"], 200);
    net.check(&mta).await;
    mta.stop().await;
}
