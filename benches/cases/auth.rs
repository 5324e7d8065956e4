//! DKIM, and what receivers will make of a message.

use super::headers::HeaderParse;
use super::{Case, at_once, content};
use mailwright::auth::alignment::{Bounds, Identity, Judgement, Origin, Preflight};
use mailwright::auth::dkim::{self, Algorithm, BodyHasher, Config, Key, Order, Signers, generate};
use mailwright::clock::Clock;
use mailwright::mail::headers::HeaderSection;
use mailwright::peers::world::World;
use mailwright::units::Timestamp;
use std::sync::{Arc, LazyLock};

/// SHA-256 over the relaxed body of a message of `KIB` KiB.
pub struct BodyHash<const KIB: usize>;

impl<const KIB: usize> Case for BodyHash<KIB> {
    type Input = (BodyHasher, Vec<u8>);
    type Output = (dkim::BodyHash, Vec<u8>);

    fn input() -> Self::Input {
        (BodyHasher::new(), content::body::<KIB>())
    }

    fn run((mut hasher, body): Self::Input) -> Self::Output {
        hasher.update(&body);
        (hasher.finish(), body)
    }
}

/// The signature of the newsletter: its fields chosen and made canonical, signed, and the field written.
pub struct SignEd25519;

impl Case for SignEd25519 {
    type Input = Unsigned;
    type Output = (Unsigned, Vec<u8>);

    fn input() -> Self::Input {
        static KEY: LazyLock<Arc<Signers>> = LazyLock::new(|| signers(Algorithm::Ed25519));
        Unsigned::with(&KEY)
    }

    fn run(unsigned: Self::Input) -> Self::Output {
        let fields = at_once(unsigned.signers.sign(&unsigned.order())).expect("a signature");
        (unsigned, fields)
    }
}

/// What acceptance pays for the preflight of a message about which everything is known: what it claims is put together, and
/// the judgement of its source looked up. With `[alignment] action = "off"` it pays nothing.
pub struct PreflightKnown;

/// Keys that sign, a source, and the judgement of their mail.
pub struct Judged {
    signers: Arc<Signers>,
    origin: Origin,
    preflight: Preflight<Arc<World>>,
}

impl Judged {
    fn new() -> Self {
        let clock = Clock::manual(NOW);
        let world = Arc::new(World::new(clock.clone()));
        let judged = Self {
            signers: signers(Algorithm::Ed25519),
            origin: Origin {
                ip: [192, 0, 2, 10].into(),
                ehlo: "a.mail.example.com".into(),
            },
            preflight: Preflight::new(world, clock, Bounds::default()),
        };
        at_once(judged.preflight.judge(&judged.claim(), &judged.origin));
        judged
    }

    fn claim(&self) -> Identity {
        let from = "news.example.com";
        Identity {
            from: from.into(),
            return_path: Some("bounces.example.com".into()),
            signatures: self.signers.expected(from, None),
        }
    }
}

impl Case for PreflightKnown {
    type Input = &'static Judged;
    type Output = Option<Arc<Judgement>>;

    fn input() -> Self::Input {
        static JUDGED: LazyLock<Judged> = LazyLock::new(Judged::new);
        &JUDGED
    }

    fn run(judged: Self::Input) -> Self::Output {
        judged.preflight.known(&judged.claim(), &judged.origin)
    }
}

/// A newsletter that is to be signed.
pub struct Unsigned {
    pub signers: Arc<Signers>,
    head: HeaderSection,
    body: dkim::BodyHash,
}

impl Unsigned {
    pub fn with(signers: &Arc<Signers>) -> Self {
        Self {
            signers: Arc::clone(signers),
            head: HeaderParse::run(HeaderParse::input()),
            body: BodyHasher::new().finish(),
        }
    }

    pub fn order(&self) -> Order<'_> {
        Order {
            from_domain: "news.example.com",
            tenant: None,
            head: &self.head,
            body: &self.body,
            now: NOW,
        }
    }
}

const NOW: Timestamp = Timestamp::from_millis(1_795_426_200_000);

/// One fresh key for example.com.
pub fn signers(algorithm: Algorithm) -> Arc<Signers> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("key.pem");
    generate(algorithm, &path).expect("a key is made");
    let entry = Config {
        domain: "example.com".into(),
        selector: "s1".into(),
        ..Config::default()
    };
    let mut signers = Signers::none();
    signers.add(&entry, Key::load(&path).expect("the key is read"));
    Arc::new(signers)
}
