//! Our signatures before two verifiers that are not ours: dkimpy and OpenDKIM.
//!
//! Both run as child processes over files, with the published keys in a file instead of DNS.

use mailwright::auth::dkim::{Algorithm, BodyHasher, Config, Key, Order, Signers, generate};
use mailwright::mail::headers::HeaderSection;
use mailwright::units::Timestamp;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

const DOMAIN: &str = "example.test";

/// A directory with keys, what is published of them, and signed messages.
struct World {
    dir: tempfile::TempDir,
    signers: Signers,
    /// Name and text of each TXT record.
    zone: Vec<(String, String)>,
}

impl World {
    fn with_keys(algorithms: &[(Algorithm, &str)]) -> Self {
        let mut world = Self {
            dir: tempfile::tempdir().unwrap(),
            signers: Signers::none(),
            zone: Vec::new(),
        };
        for (algorithm, selector) in algorithms {
            let path = world.dir.path().join(format!("{selector}.pem"));
            let public = generate(*algorithm, &path).unwrap();
            let entry = Config {
                domain: DOMAIN.into(),
                selector: (*selector).into(),
                key: path.clone(),
                ..Config::default()
            };
            world.signers.add(&entry, Key::load(&path).unwrap());
            let name = format!("{selector}._domainkey.{DOMAIN}");
            world.zone.push((name, public.text()));
        }
        world
    }

    /// Signs every message of the corpus into a file of its own.
    async fn sign_corpus(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for (name, message) in corpus() {
            let path = self.dir.path().join(format!("{name}.eml"));
            std::fs::write(&path, self.sign(&message).await).unwrap();
            files.push(path);
        }
        files
    }

    async fn sign(&self, message: &[u8]) -> Vec<u8> {
        let at = HeaderSection::end(message, 0).unwrap();
        let (head, body) = message.split_at(at);
        let head = HeaderSection::parse(head.to_vec()).unwrap();
        let mut hasher = BodyHasher::new();
        body.chunks(1000).for_each(|chunk| hasher.update(chunk));
        let order = Order {
            from_domain: DOMAIN,
            tenant: None,
            head: &head,
            body: &hasher.finish(),
            now: wall(),
        };
        let fields = self.signers.sign(&order).await.unwrap();
        [head.to_octets(&fields).as_slice(), body].concat()
    }

    /// One record a line, name and text, as both verifiers are made to read them.
    fn write_zone(&self) -> PathBuf {
        let path = self.dir.path().join("zone.txt");
        let lines = self
            .zone
            .iter()
            .map(|(name, text)| format!("{name} {text}\n"));
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        path
    }
}

/// Verifiers look at the wall clock: a signature from the future would be refused.
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::from_millis(0) + since.unwrap()
}

fn corpus() -> Vec<(&'static str, Vec<u8>)> {
    let head = "From: Ann <ann@example.test>\r\nTo: bob@example.org\r\nSubject: a test\r\n\
                Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@example.test>\r\n\r\n";
    let with = |body: &str| [head, body].concat().into_bytes();
    let fields = |fields: &str| [fields, head, "body\r\n"].concat().into_bytes();
    vec![
        ("plain", with("hello\r\n")),
        ("empty", with("")),
        ("only_empty_lines", with("\r\n\r\n\r\n")),
        ("trailing_blank_lines", with("hello\r\n\r\n\r\n\r\n")),
        ("trailing_white_space", with("hello  \t\r\nthere \r\n")),
        (
            "trailing_white_space_lines",
            with("hello\r\n\r\n \t\r\n \r\n"),
        ),
        ("only_white_space_lines", with(" \r\n\t\r\n")),
        (
            "white_space_runs",
            with("  hello \t  there\r\n\r\n\t x\t\ty\r\n"),
        ),
        (
            "eight_bit_body",
            with("gr\u{fc}\u{df}e \u{65e5}\u{672c}\u{8a9e}\r\n"),
        ),
        (
            "latin1_body",
            [head.as_bytes(), b"gr\xfc\xdfe \xa0 \xff\r\n"].concat(),
        ),
        ("long_line", with(&format!("{}\r\n", "x".repeat(998)))),
        (
            "long_lines",
            with(&format!("{}\r\n", "word ".repeat(190)).repeat(50)),
        ),
        (
            "folded_fields",
            fields(
                "X-Before: x\r\nReferences: <a@b>\r\n\t<c@d>\r\n   <e@f>  \r\nReply-To:\r\n ann@example.test\r\n",
            ),
        ),
        (
            "odd_white_space",
            fields(
                "Cc: \t x@example.org  \t\r\nList-Id:<l.example.test>\r\nFeedback-ID:  a:b \t c  \r\n",
            ),
        ),
        (
            "duplicate_fields",
            fields(
                "To: first@example.org\r\nCc: a@example.org\r\nCc: b@example.org\r\nList-Help: <1>\r\nlist-help: <2>\r\nLIST-HELP: <3>\r\n",
            ),
        ),
        (
            "one_click",
            fields(
                "List-Unsubscribe: <https://example.test/u/1>,\r\n <mailto:u@example.test>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
            ),
        ),
        (
            "multipart",
            fields(
                "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"=_x\"\r\nContent-Transfer-Encoding: 8bit\r\n",
            ),
        ),
        ("empty_field", fields("Cc:\r\nIn-Reply-To: \r\n")),
    ]
}

fn run(command: &mut Command, package: &str) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{package} is needed (tests/run installs it): {error}"));
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{package}: {text}");
    text
}

/// A Python that has dkimpy: the one on the path, or the system's.
fn python() -> &'static str {
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(|python| {
            let import = Command::new(python)
                .args(["-c", "import dkim, nacl"])
                .output();
            import.is_ok_and(|output| output.status.success())
        })
        .expect("python3-dkim and python3-nacl are needed (tests/run installs them)")
}

/// Prints, for each file, the verdict on each of its signatures.
const VERIFY: &str = r#"
import dkim, sys
zone = dict(line.rstrip("\n").split(" ", 1) for line in open(sys.argv[1]))
def txt(name, timeout=5):
    return zone.get(name.decode().rstrip("."), "").encode() or None
def verdict(message, i, txt):
    try:
        return dkim.DKIM(message).verify(idx=i, dnsfunc=txt)
    except dkim.ValidationError:
        return False
for path in sys.argv[2:]:
    message = open(path, "rb").read()
    count = sum(1 for name, _ in dkim.rfc822_parse(message)[0] if name.lower() == b"dkim-signature")
    print(path.rsplit("/", 1)[1], *[verdict(message, i, txt) for i in range(count)])
"#;

fn dkimpy(zone: &Path, files: &[PathBuf]) -> String {
    let mut command = Command::new(python());
    command.args(["-c", VERIFY]).arg(zone).args(files);
    run(&mut command, "python3-dkim")
}

#[tokio::test]
async fn dkimpy_accepts_rsa_and_ed25519_signatures_of_the_corpus() {
    let world = World::with_keys(&[(Algorithm::Rsa2048, "r"), (Algorithm::Ed25519, "e")]);
    let files = world.sign_corpus().await;
    let verdicts = dkimpy(&world.write_zone(), &files);
    assert_eq!(verdicts.lines().count(), files.len());
    for line in verdicts.lines() {
        assert!(line.ends_with(".eml True True"), "{line}");
    }
}

#[tokio::test]
async fn dkimpy_sees_what_was_changed() {
    let world = World::with_keys(&[(Algorithm::Rsa2048, "r")]);
    let signed = world.sign(&corpus()[0].1).await;
    let path = world.dir.path().join("changed.eml");
    std::fs::write(&path, [&signed[..], b"more\r\n"].concat()).unwrap();
    assert_eq!(
        dkimpy(&world.write_zone(), &[path]).trim(),
        "changed.eml False"
    );
}

fn opendkim(world: &World, file: &Path) -> String {
    let config = world.dir.path().join("opendkim.conf");
    let zone = world.write_zone();
    std::fs::write(
        &config,
        format!("Mode v\nTestPublicKeys {}\n", zone.display()),
    )
    .unwrap();
    let mut command = Command::new("/usr/sbin/opendkim");
    command.arg("-x").arg(&config).arg("-t").arg(file);
    run(&mut command, "opendkim")
}

#[tokio::test]
async fn opendkim_accepts_each_kind_of_signature_of_the_corpus() {
    for (algorithm, selector) in [(Algorithm::Rsa2048, "r"), (Algorithm::Ed25519, "e")] {
        let world = World::with_keys(&[(algorithm, selector)]);
        for file in world.sign_corpus().await {
            let said = opendkim(&world, &file);
            let verdict = format!("verification (s={selector}, d={DOMAIN}");
            assert!(said.contains(&verdict), "{said}");
            assert!(said.trim_end().ends_with("succeeded"), "{said}");
        }
    }
}

#[tokio::test]
async fn opendkim_sees_what_was_changed() {
    let world = World::with_keys(&[(Algorithm::Rsa2048, "r")]);
    let path = world.dir.path().join("changed.eml");
    let signed = world.sign(&corpus()[0].1).await;
    std::fs::write(&path, [&signed[..], b"more\r\n"].concat()).unwrap();
    let said = opendkim(&world, &path);
    assert!(!said.contains("succeeded"), "{said}");
}
