//! What receivers will make of our mail, found out before it leaves: told, marked, held or refused by tenant.

use crate::internet::Internet;
use crate::mta::Mta;
use mailwright::auth::dkim::{Algorithm, PublicKey, generate};
use mailwright::peers::dns::{Fault, Record};
use serde_json::Value;

const TO: &str = "ann@example.net";

/// A tenant of the shop for each action, named as the action is.
fn tenants() -> String {
    let tenant = |action: &str| {
        format!(
            "[[tenant]]\nname = \"{action}\"\ndomains = [\"shop.test\"]\n[tenant.alignment]\naction = \"{action}\"\n"
        )
    };
    ["off", "report", "warn", "hold", "reject"]
        .map(tenant)
        .concat()
}

fn of(tenant: &str) -> String {
    format!("X-Mailwright-Tenant: {tenant}\r\n")
}

/// The names that are asked about mail of the shop, and how often they were.
fn asked(net: &Internet) -> [usize; 3] {
    ["shop.test", "_dmarc.shop.test", "s1._domainkey.shop.test"].map(|name| net.dns.queries(name))
}

fn publish(net: &Internet, spf: &str, key: Option<&PublicKey>) {
    let policy = "v=DMARC1; p=reject; rua=mailto:dmarc@shop.test";
    net.dns
        .add("shop.test", Record::Txt(spf.to_owned()))
        .add("_dmarc.shop.test", Record::Txt(policy.to_owned()));
    if let Some(key) = key {
        net.dns
            .add("s1._domainkey.shop.test", Record::Txt(key.text()));
    }
}

/// A key that signs for the shop, and its `[[dkim]]`.
fn signing(net: &Internet) -> (PublicKey, String) {
    let file = net.path("shop.pem");
    let key = generate(Algorithm::Ed25519, &file).expect("a key");
    let file = file.display();
    let entry = format!("[[dkim]]\ndomain = \"shop.test\"\nselector = \"s1\"\nkey = \"{file}\"\n");
    (key, entry)
}

async fn metrics(mta: &Mta) -> String {
    let (status, body) = mta.request("GET", "/metrics", &Value::Null).await;
    assert_eq!(status, 200);
    body
}

#[tokio::test]
async fn mail_that_is_not_aligned_is_refused_held_marked_or_told_as_its_tenant_wants() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let source = net.source("ip-a");
    publish(&net, "v=spf1 -all", None);
    let mta = net.mta(&format!("{}{}", source.with(""), tenants())).await;

    let refused = mta.refusal(&of("reject"), TO).await;
    let ip = source.address;
    let told = format!("the SPF record of shop.test does not let {ip} send (L08): add ip4:{ip}");
    assert!(
        refused.starts_with("550 5.7.23 ") && refused.contains(&told),
        "{refused}"
    );

    let id = mta.inject_as(&of("hold"), "held@example.net").await;
    let held = mta.entry(&id, |entry| entry["state"] == "held").await;
    let why = held["waits"]["why"].as_str().expect("a reason");
    assert!(
        why.starts_with("alignment: L08 the SPF record of shop.test") && why.contains("L06"),
        "{why}"
    );
    let event = mta
        .journal
        .nth(1, "a hold", |event| event.kind() == "held")
        .await;
    assert_eq!((event.id(), event.text("why")), (&*id, why));
    assert_eq!(mx.totals().messages, 0);
    mta.order("release", &id).await;
    mta.outcome("held@example.net").await;

    mta.inject_as(&of("warn"), "warn@example.net").await;
    mta.outcome("warn@example.net").await;
    let message = mx.messages().pop().expect("it came");
    let field = message.header("X-Mailwright-Alignment").expect("a field");
    assert!(field.starts_with("L08 the SPF record"), "{field}");
    assert!(field.contains("L11 DMARC fails for shop.test"), "{field}");

    for (tenant, is_told) in [("report", true), ("off", false)] {
        let to = format!("{tenant}@example.net");
        mta.inject_as(&of(tenant), &to).await;
        mta.outcome(&to).await;
        let accepted = mta.journal.first("accepted", &to).await;
        let why = accepted.0["why"].as_str().unwrap_or_default();
        assert_eq!(why.starts_with("alignment: L08"), is_told, "{accepted:?}");
        let message = mx.messages().pop().expect("it came");
        assert_eq!(message.header("X-Mailwright-Alignment"), None);
    }
    let counted = metrics(&mta).await;
    for what in ["rejected", "held", "warned", "reported"] {
        let line = format!("mailwright_alignment_total{{what=\"{what}\"}} 1");
        assert!(counted.contains(&line), "{line}");
    }
    net.check(&mta).await;
}

#[tokio::test]
async fn a_key_that_is_not_the_published_one_is_refused_though_spf_passes() {
    let net = Internet::new().await;
    let source = net.source("ip-a");
    let (_, entry) = signing(&net);
    let other = generate(Algorithm::Ed25519, &net.path("other.pem")).expect("a key");
    let spf = format!("v=spf1 ip4:{} -all", source.address);
    publish(&net, &spf, Some(&other));
    let keys = format!("{}{}{entry}", source.with(""), tenants());
    let mta = net.mta(&keys).await;
    let refused = mta.refusal(&of("reject"), TO).await;
    let told = "the key at s1._domainkey.shop.test is not the one that signs (L06): publish at";
    assert!(
        refused.starts_with("550 5.7.20 ") && refused.contains(told),
        "{refused}"
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn what_is_known_of_a_domain_is_asked_once_for_all_of_its_messages() {
    let net = Internet::new().await;
    let _mx = net.mx("example.net").start().await;
    let source = net.source("ip-a");
    let (key, entry) = signing(&net);
    let spf = format!("v=spf1 ip4:{} -all", source.address);
    publish(&net, &spf, Some(&key));
    let keys = format!("{}{}{entry}", source.with(""), tenants());
    let mta = net.mta(&keys).await;
    mta.inject_as(&of("reject"), TO).await;
    mta.outcome(TO).await;
    let first = asked(&net);
    assert!(first.iter().all(|times| *times > 0), "{first:?}");
    for n in 0..5 {
        let to = format!("{n}@example.net");
        mta.inject_as(&of("reject"), &to).await;
        mta.outcome(&to).await;
    }
    assert_eq!(asked(&net), first);
    let counted = metrics(&mta).await;
    let line = "mailwright_alignment_total{what=\"passed\"} 6";
    assert!(counted.contains(line), "{counted}");
    net.check(&mta).await;
}

#[tokio::test]
async fn name_servers_that_fail_harm_nobody() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let source = net.source("ip-a");
    let (_, entry) = signing(&net);
    for name in ["shop.test", "_dmarc.shop.test", "s1._domainkey.shop.test"] {
        net.dns.fail(name, Fault::ServFail);
    }
    let keys = format!("{}{}{entry}", source.with(""), tenants());
    let mta = net.mta(&keys).await;
    for tenant in ["reject", "hold", "warn"] {
        let to = format!("{tenant}@example.net");
        mta.inject_as(&of(tenant), &to).await;
        assert_eq!(mta.outcome(&to).await.kind(), "delivered");
    }
    let marked = mx.messages();
    let mut marked = marked.iter().map(|m| m.header("X-Mailwright-Alignment"));
    assert!(marked.all(|field| field.is_none()));
    net.check(&mta).await;
}

#[tokio::test]
async fn a_source_for_which_spf_fails_is_avoided_while_another_passes() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let [a, b] = ["ip-a", "ip-b"].map(|name| net.source(name));
    publish(&net, &format!("v=spf1 ip4:{} -all", b.address), None);
    // Of this one nobody may send, so that who sends is as it was.
    net.dns
        .add("rest.test", Record::Txt("v=spf1 -all".to_owned()));
    let keys = "[alignment]\naction = \"warn\"\n";
    let mta = net
        .mta(&format!("{keys}{}{}", a.with(""), b.with("")))
        .await;
    for n in 0..20 {
        mta.inject_as("", &format!("{n}@example.net")).await;
    }
    mx.came(20).await;
    assert_eq!((a.sent(&mx.messages()), b.sent(&mx.messages())), (0, 20));

    let path = "/api/v1/explain?from=s@shop.test&to=ann@example.net";
    let verdict = mta.get(path).await;
    let candidates = verdict["candidates"].as_array().expect("a list");
    let of_a = candidates.iter().find(|c| c["source"] == "ip-a");
    let held = &of_a.expect("a candidate")["held"];
    assert_eq!(held["held_by"], "spf", "{verdict:#}");
    let remedy = held["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains(&format!("ip4:{}", a.address)), "{remedy}");
    let aligned = verdict["alignment"].as_array().expect("a list");
    let spf = |name: &str| {
        let at = aligned.iter().find(|at| at["source"] == name);
        at.map(|at| at["spf"].clone())
    };
    assert_eq!(spf("ip-b"), Some("pass for shop.test, aligned".into()));
    assert_eq!(spf("ip-a"), Some("fail for shop.test, aligned".into()));

    let text = "From: <s@rest.test>\r\nSubject: hello\r\n\r\nHello.\r\n";
    for n in 0..40 {
        let to = format!("rest{n}@example.net");
        mta.inject_text("s@rest.test", &[&to], text).await;
    }
    mx.came(60).await;
    let messages = mx.messages();
    assert!(a.sent(&messages) > 0, "nobody's SPF passes: all share");
    assert!(b.sent(&messages) > 20);
    mta.empty().await;
    net.check(&mta).await;
}

#[tokio::test]
async fn the_lint_knows_what_the_preflight_knows() {
    let net = Internet::new().await;
    let source = net.source("ip-a");
    publish(&net, "v=spf1 -all", None);
    let mta = net.mta(&source.with("")).await;
    let message = "From: <s@shop.test>\r\nSubject: hello\r\n\r\nHello.\r\n";
    let path = "/api/v1/lint?from=s@shop.test&verbose=true";
    let (status, body) = mta.request("POST", path, &message.into()).await;
    assert_eq!(status, 200, "{body}");
    let linted: Value = serde_json::from_str(&body).expect("JSON");
    let findings = linted["findings"].as_array().expect("a list");
    let evidence = |rule: &str| {
        let found = findings.iter().find(|finding| finding["rule"] == rule);
        found.map_or("", |finding| {
            finding["evidence"].as_str().unwrap_or_default()
        })
    };
    let told = format!("ip-a ({}): SPF is fail: shop.test, by all", source.address);
    assert_eq!(evidence("spf-fails"), told, "{body}");
    assert!(
        evidence("dmarc-fails").starts_with("neither SPF nor DKIM passes"),
        "{body}"
    );
    net.check(&mta).await;
}
