//! Signatures, as an independent verifier sees them.

use super::*;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::hickory_resolver::TokioResolver;
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator, ResolverCache, Txt};
use std::borrow::Borrow;
use std::hash::Hash;
use std::time::Instant;

/// The published keys; everything else is unknown.
struct Zone(Vec<(String, Txt)>);

impl ResolverCache<Box<str>, Txt> for Zone {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let found = self.0.iter().find(|(key, _)| {
            let key: Box<str> = key.as_str().into();
            Borrow::<Q>::borrow(&key) == name
        });
        found.map(|(_, record)| record.clone())
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

struct World {
    signers: Signers,
    zone: Zone,
    authenticator: MessageAuthenticator,
}

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

impl World {
    fn new() -> Self {
        let resolver = TokioResolver::builder_with_config(
            Default::default(),
            mail_auth::hickory_resolver::net::runtime::TokioRuntimeProvider::default(),
        );
        Self {
            signers: Signers::none(),
            zone: Zone(Vec::new()),
            authenticator: MessageAuthenticator(resolver.build().unwrap()),
        }
    }

    fn key(mut self, algorithm: Algorithm, selector: &str, domain: &str) -> Self {
        self.publish(algorithm, selector, domain, None);
        self
    }

    fn publish(
        &mut self,
        algorithm: Algorithm,
        selector: &str,
        domain: &str,
        tenant: Option<&str>,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        let public = generate(algorithm, &path).unwrap();
        let entry = Config {
            domain: domain.into(),
            selector: selector.into(),
            key: path.clone(),
            tenant: tenant.map(Into::into),
            expires: None,
        };
        self.signers.add(&entry, Key::load(&path).unwrap());
        let record = DomainKey::parse(public.text().as_bytes()).unwrap();
        let name = format!("{selector}._domainkey.{domain}.");
        self.zone.0.push((name, Txt::DomainKey(Arc::new(record))));
    }

    async fn signed(&self, message: &[u8], from_domain: &str) -> Vec<u8> {
        let at = HeaderSection::end(message, 0).unwrap_or(message.len());
        let (head, body) = message.split_at(at);
        let head = HeaderSection::parse(head.to_vec()).unwrap();
        let mut hasher = BodyHasher::new();
        body.chunks(7).for_each(|chunk| hasher.update(chunk));
        let order = Order {
            from_domain,
            tenant: None,
            head: &head,
            body: &hasher.finish(),
            now: NOW,
        };
        let fields = self.signers.sign(&order).await.unwrap();
        [head.to_octets(&fields).as_slice(), body].concat()
    }

    async fn verdicts(&self, message: &[u8]) -> Vec<DkimResult> {
        let parsed = AuthenticatedMessage::parse(message).unwrap();
        let params = mail_auth::Parameters::new(&parsed).with_txt_cache(&self.zone);
        let output = self.authenticator.verify_dkim(params).await;
        output.into_iter().map(|o| o.result().clone()).collect()
    }
}

/// Messages on which canonical forms are easily got wrong, and which mail-auth's verifier reads rightly.
fn corpus() -> Vec<(&'static str, Vec<u8>)> {
    let head = "From: Ann <ann@example.test>\r\nTo: bob@example.org\r\nSubject: a\r\n\r\n";
    let with = |body: &str| [head, body].concat().into_bytes();
    vec![
        ("plain", with("hello\r\n")),
        ("empty body", with("")),
        ("only empty lines", with("\r\n\r\n\r\n")),
        ("trailing blank lines", with("hello\r\n\r\n\r\n\r\n")),
        ("trailing white space", with("hello  \t\r\nthere \r\n")),
        ("no closing line break", with("hello")),
        ("leading space and runs", with("  hello \t  there\r\n\r\n  x\r\n")),
        ("eight-bit body", with("gr\u{fc}\u{df}e \u{65e5}\u{672c}\r\n")),
        ("long lines", with(&format!("{}\r\n", "x ".repeat(4000)))),
        (
            "folded and odd fields",
            b"from:\tAnn\r\n <ann@example.test>  \r\nSUBJECT:  a \t b\r\n\tc\r\n  d  \r\nTo:\r\n bob@example.org\r\n\r\nx\r\n"
                .to_vec(),
        ),
        (
            "duplicate fields",
            b"To: a@b.test\r\nFrom: ann@example.test\r\nTo: c@d.test\r\nList-Id: <1>\r\nX: y\r\nList-Id: <2>\r\n\r\nx\r\n"
                .to_vec(),
        ),
        (
            "eight-bit fields",
            "From: \u{e4}nn <ann@example.test>\r\nSubject: \u{65e5}\u{672c}  \u{8a9e}\r\n\r\nx\r\n".as_bytes().to_vec(),
        ),
        ("no body at all", b"From: ann@example.test\r\n\r\n".to_vec()),
    ]
}

#[tokio::test]
async fn an_independent_verifier_accepts_both_signatures_of_every_message() {
    let world = World::new()
        .key(Algorithm::Rsa2048, "r", "example.test")
        .key(Algorithm::Ed25519, "e", "example.test");
    for (name, message) in corpus() {
        let signed = world.signed(&message, "example.test").await;
        let verdicts = world.verdicts(&signed).await;
        assert_eq!(verdicts, [DkimResult::Pass, DkimResult::Pass], "{name}");
    }
}

#[tokio::test]
async fn a_trailing_line_of_white_space_may_be_dropped_on_the_way() {
    let world = World::new().key(Algorithm::Ed25519, "e", "example.test");
    let head = "From: ann@example.test\r\n\r\n";
    for tail in [" \r\n", "\r\n\t\r\n", "\t \r\n\r\n"] {
        let signed = world
            .signed(format!("{head}hi\r\n{tail}").as_bytes(), "example.test")
            .await;
        // Relaxed form ignores the tail, so that without it the signature holds, in any verifier.
        let dropped = signed.strip_suffix(tail.as_bytes()).unwrap();
        assert_eq!(
            world.verdicts(dropped).await,
            [DkimResult::Pass],
            "{tail:?}"
        );
    }
}

#[tokio::test]
async fn what_is_changed_or_added_after_signing_breaks_the_signature() {
    let world = World::new().key(Algorithm::Ed25519, "e", "example.test");
    let message =
        b"From: ann@example.test\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n\r\nhello\r\n";
    let signed = world.signed(message, "example.test").await;
    assert_eq!(world.verdicts(&signed).await, [DkimResult::Pass]);
    let text = String::from_utf8(signed).unwrap();
    for added in ["From", "Subject", "Reply-To", "To", "Cc", "Date"] {
        let spoofed = format!("{added}: eve@evil.test\r\n{text}");
        assert_ne!(
            world.verdicts(spoofed.as_bytes()).await,
            [DkimResult::Pass],
            "{added}"
        );
    }
    let changed = text.replace("hello", "hullo");
    assert_ne!(world.verdicts(changed.as_bytes()).await, [DkimResult::Pass]);
    let traced = format!("Received: from x\r\n{text}");
    assert_eq!(world.verdicts(traced.as_bytes()).await, [DkimResult::Pass]);
}

#[tokio::test]
async fn the_key_is_of_the_closest_domain_and_the_tenants_own_comes_first() {
    let mut world = World::new().key(Algorithm::Ed25519, "all", "example.test");
    world.publish(Algorithm::Ed25519, "news", "news.example.test", None);
    world.publish(Algorithm::Ed25519, "acme", "example.test", Some("acme"));
    world.publish(
        Algorithm::Ed25519,
        "other",
        "shop.example.test",
        Some("other"),
    );
    world.publish(Algorithm::Ed25519, "idn", "b\u{fc}cher.test", None);
    let chosen = |domain: &str, tenant| -> Vec<String> {
        let signers = world.signers.chosen(domain, tenant);
        signers.iter().map(|s| s.selector.to_string()).collect()
    };
    assert_eq!(chosen("Example.TEST", None), ["all"]);
    assert_eq!(chosen("a.b.example.test", None), ["all"]);
    assert_eq!(chosen("x.news.example.test", None), ["news"]);
    assert_eq!(chosen("example.test", Some("acme")), ["acme"]);
    assert_eq!(chosen("example.test", Some("third")), ["all"]);
    assert_eq!(chosen("shop.example.test", Some("acme")), ["acme"]);
    assert_eq!(chosen("shop.example.test", Some("other")), ["other"]);
    assert_eq!(chosen("xn--bcher-kva.test", None), ["idn"]);
    assert!(chosen("notexample.test", None).is_empty());
    assert!(chosen("test", None).is_empty());
}

#[tokio::test]
async fn time_and_expiry_come_from_the_clock() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k");
    generate(Algorithm::Ed25519, &path).unwrap();
    let entry = Config {
        domain: "example.test".into(),
        selector: "s".into(),
        expires: Some("7d".parse().unwrap()),
        ..Config::default()
    };
    world.signers.add(&entry, Key::load(&path).unwrap());
    let signed = world
        .signed(b"From: a@example.test\r\n\r\nx\r\n", "example.test")
        .await;
    let text = String::from_utf8(signed).unwrap();
    assert!(
        text.contains(" t=1700000000;") && text.contains(" x=1700604800;"),
        "{text}"
    );
}

#[tokio::test]
async fn a_domain_without_a_key_is_left_unsigned() {
    let world = World::new().key(Algorithm::Ed25519, "e", "example.test");
    let message = b"From: a@elsewhere.test\r\n\r\nx\r\n";
    assert_eq!(world.signed(message, "elsewhere.test").await, message);
}

#[test]
fn every_key_that_cannot_be_used_is_told_with_its_remedy() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    for (name, mode) in [("good.pem", 0o600), ("open.pem", 0o644)] {
        let path = dir.path().join(name);
        generate(Algorithm::Ed25519, &path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let entry = |key: &str| Config {
        domain: "example.test".into(),
        selector: "s".into(),
        key: key.into(),
        ..Config::default()
    };
    let problems = Signers::load(
        &[entry("open.pem"), entry("good.pem"), entry("/nonexistent")],
        Book::default(),
        dir.path(),
    )
    .err()
    .unwrap();
    let found: Vec<(&str, &str)> = problems
        .0
        .iter()
        .map(|p| (p.key.as_str(), p.remedy.as_str()))
        .collect();
    let chmod = format!("chmod 600 {}", dir.path().join("open.pem").display());
    assert_eq!(found[0], ("dkim[0].key", chmod.as_str()));
    assert_eq!((found.len(), found[1].0), (2, "dkim[2].key"));
    let signers = Signers::load(&[entry("good.pem")], Book::default(), dir.path()).unwrap();
    assert!(signers.concern("example.test"));
}
