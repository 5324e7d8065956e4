//! `[[tenant]]`: a platform, a brand, a stream; its domains, its users.

use crate::auth::alignment;
use crate::bounce::Notices;
use crate::bounce::return_path::validate_domain;
use crate::lint;
use crate::mail::Address;
use crate::policy::limits::config as limits;
use crate::policy::reputation::config as reputation;
use crate::policy::suppression::config as suppression;
use crate::policy::window::SendWindows;
use crate::problem::Problems;
use argon2::password_hash::{PasswordHash, SaltString};
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use aws_lc_rs::{hmac, rand};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// One `[[tenant]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The tenant's name in events, reports and headers.
    pub name: String,
    /// The pool of sources its mail leaves from; empty means the default pool.
    pub pool: String,
    /// Domains it may use in the return path and in From, without their subdomains; `"*.example.com"` means every
    /// subdomain of one.
    pub domains: Vec<String>,
    /// Where its users are: `"file:PATH"` or `"env:NAME"`, holding one `user:PHC` a line (Argon2id), `#` before a
    /// comment. Absent means that nobody authenticates as this tenant.
    pub credentials: Option<String>,
    /// Notices by mail to its senders, in place of `[bounce] notices`.
    pub notices: Option<Notices>,
    /// The domain of its return paths, in place of `[return_path] domain`; empty: its own return paths are kept.
    pub return_path_domain: Option<String>,
    /// Whether its marketing mail gets List-Unsubscribe; absent: where `[unsubscribe]` is set.
    pub list_unsubscribe: Option<bool>,
    /// Its share where tenants take turns at a site, relative to the others.
    pub weight: u32,
    /// What it may send, wherever it goes, in place of `[limits.tenant]`.
    pub limits: limits::Config,
    /// What each of its campaigns may send, in place of `[limits.campaign]`.
    pub campaign_limits: limits::Config,
    /// The hours in which its marketing mail goes, such as `"08:00-22:00 Europe/Berlin"`; transactional mail goes at any
    /// hour.
    #[serde(skip_serializing_if = "SendWindows::is_empty")]
    pub send_window: SendWindows,
    /// From which rates on its mail is watched and held, in place of `[reputation]`.
    #[serde(skip_serializing_if = "reputation::TenantConfig::is_default")]
    pub reputation: reputation::TenantConfig,
    /// What becomes of its mail to suppressed recipients, and when they are, in place of `[suppression]`.
    #[serde(skip_serializing_if = "suppression::TenantConfig::is_default")]
    pub suppression: suppression::TenantConfig,
    /// How bad rules of the lint are for its mail, and what is done at submission, in place of `[lint]`.
    #[serde(skip_serializing_if = "lint::TenantConfig::is_default")]
    pub lint: lint::TenantConfig,
    /// What is done with its mail where SPF, DKIM or DMARC fails for it, in place of `[alignment]`.
    #[serde(skip_serializing_if = "alignment::TenantConfig::is_default")]
    pub alignment: alignment::TenantConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::new(),
            pool: String::new(),
            domains: Vec::new(),
            credentials: None,
            notices: None,
            return_path_domain: None,
            list_unsubscribe: None,
            weight: 1,
            limits: limits::Config::default(),
            campaign_limits: limits::Config::default(),
            send_window: SendWindows::default(),
            reputation: reputation::TenantConfig::default(),
            suppression: suppression::TenantConfig::default(),
            lint: lint::TenantConfig::default(),
            alignment: alignment::TenantConfig::default(),
        }
    }
}

impl Config {
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.name.trim().is_empty() {
            problems.add(
                format!("{at}.name"),
                "a tenant needs a name",
                "write one, such as name = \"acme\"",
            );
        }
        for (i, domain) in self.domains.iter().enumerate() {
            if normal(domain).is_none() {
                problems.add(
                    format!("{at}.domains[{i}]"),
                    format!("{domain:?} is not a domain"),
                    "write a domain such as \"acme.example\" or \"*.acme.example\"",
                );
            }
        }
        let own_domain = self.return_path_domain.as_deref().unwrap_or_default();
        let key = format!("{at}.return_path_domain");
        validate_domain(own_domain, &key, problems);
        if self.weight == 0 {
            let remedy = "write 1, or more for a larger share";
            problems.add(
                format!("{at}.weight"),
                "is 0, so its mail would never have a turn",
                remedy,
            );
        }
        self.limits.validate(&format!("{at}.limits"), problems);
        let campaigns = format!("{at}.campaign_limits");
        self.campaign_limits.validate(&campaigns, problems);
        let reputation = format!("{at}.reputation");
        self.reputation.validate(&reputation, problems);
        let suppression = format!("{at}.suppression");
        self.suppression.validate(&suppression, problems);
        lint::validate_tenant(&self.lint, &format!("{at}.lint"), problems);
        if let Some(reference) = &self.credentials
            && !reference.starts_with("file:")
            && !reference.starts_with("env:")
        {
            // The value is not repeated: it may be a password.
            problems.add(
                format!("{at}.credentials"),
                "credentials are a reference, never the secret itself",
                "write \"file:PATH\" or \"env:NAME\"",
            );
        }
    }
}

/// Every tenant by itself, and that no two share a name.
pub fn validate_all(tenants: &[Config], at: &str, problems: &mut Problems) {
    let mut names = HashSet::new();
    for (i, tenant) in tenants.iter().enumerate() {
        let at = format!("{at}[{i}]");
        tenant.validate(&at, problems);
        if !names.insert(tenant.name.as_str()) {
            problems.add(
                format!("{at}.name"),
                format!("a second tenant is called {:?}", tenant.name),
                "give each tenant a name of its own",
            );
        }
    }
}

/// Who a client sends as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    pub name: Box<str>,
    /// `None`: the default pool.
    pub pool: Option<Box<str>>,
    /// In A-labels and lower case.
    domains: Box<[Box<str>]>,
    /// `None`: as `[bounce]` says.
    pub notices: Option<Notices>,
}

impl Tenant {
    /// Domains that are none are left out; [`Config::validate`] has told of them.
    pub fn new<'a>(
        name: &str,
        pool: Option<&str>,
        domains: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            name: name.into(),
            pool: pool.map(Into::into),
            domains: domains.into_iter().filter_map(normal).collect(),
            notices: None,
        }
    }

    /// May this tenant use `domain` (U-labels or A-labels, any case) in the return path and in From?
    pub fn may_use(&self, domain: &str) -> bool {
        let Some(domain) = normal(domain) else {
            return false;
        };
        self.domains.iter().any(|own| match own.strip_prefix("*.") {
            Some(parent) => domain
                .strip_suffix(parent)
                .is_some_and(|head| head.ends_with('.')),
            None => **own == *domain,
        })
    }

    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.domains.iter().map(|domain| &**domain)
    }
}

/// A domain, with `*.` before it or not, in A-labels and lower case.
fn normal(domain: &str) -> Option<Box<str>> {
    let (star, bare) = match domain.strip_prefix("*.") {
        Some(bare) => ("*.", bare),
        None => ("", domain),
    };
    // One parser for domains: the one of addresses.
    let probe: Address = format!("x@{bare}").parse().ok()?;
    (!bare.contains('@')).then(|| format!("{star}{}", probe.ascii_domain()).into())
}

struct User {
    phc: Box<str>,
    tenant: Arc<Tenant>,
    /// Keyed digest of the password once Argon2id has accepted it: later sessions are let in for microseconds. It dies
    /// with this set of tenants, so a reload forgets it.
    proven: OnceLock<hmac::Tag>,
}

/// All tenants and their users, as one configuration has them.
pub struct Tenants {
    by_name: HashMap<Box<str>, Arc<Tenant>>,
    users: HashMap<Box<str>, User>,
    /// What an unknown user's password is hashed against, at the cost of a known one's.
    decoy: String,
    key: hmac::Key,
}

impl Tenants {
    /// Reads the credentials of `configs`; relative paths start at `base`.
    ///
    /// # Errors
    /// Every fault found: unreadable files, unset variables, lines that are not `user:PHC`, users named twice.
    pub fn load(configs: &[Config], base: &Path) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut tenants = Self {
            by_name: HashMap::new(),
            users: HashMap::new(),
            decoy: String::new(),
            key: new_key(&mut problems),
        };
        for (i, config) in configs.iter().enumerate() {
            let at = format!("tenant[{i}].credentials");
            tenants.add(config, base, &at, &mut problems);
        }
        match decoy(&tenants.users) {
            Some(decoy) => tenants.decoy = decoy,
            None => problems.add("tenant", "Argon2id does not work here", "report this"),
        }
        if problems.is_empty() {
            Ok(tenants)
        } else {
            Err(problems)
        }
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.by_name.get(name)
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.by_name.values()
    }

    pub fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    fn add(&mut self, config: &Config, base: &Path, at: &str, problems: &mut Problems) {
        let pool = Some(config.pool.as_str()).filter(|pool| !pool.is_empty());
        let domains = config.domains.iter().map(String::as_str);
        let tenant = Arc::new(Tenant {
            notices: config.notices,
            ..Tenant::new(&config.name, pool, domains)
        });
        self.by_name.insert(tenant.name.clone(), tenant.clone());
        let Some(reference) = &config.credentials else {
            return;
        };
        let lines = match read(reference, base) {
            Ok(lines) => lines,
            Err(why) => return problems.add(at, why, "make it readable, or correct the reference"),
        };
        for (n, line) in lines.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                self.add_user(line, &tenant)
                    .unwrap_or_else(|(why, remedy)| {
                        problems.add(at, format!("line {}: {why}", n + 1), remedy);
                    });
            }
        }
    }

    /// The line itself stays out of every message: it may hold a password in clear by mistake.
    fn add_user(
        &mut self,
        line: &str,
        tenant: &Arc<Tenant>,
    ) -> Result<(), (&'static str, &'static str)> {
        const REMEDY: &str = "write user:$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH";
        let (name, phc) = line.split_once(':').ok_or(("not user:PHC", REMEDY))?;
        let parsed = PasswordHash::new(phc).map_err(|_| ("not a PHC string", REMEDY))?;
        if parsed.algorithm.as_str() != "argon2id" || parsed.hash.is_none() {
            return Err(("not an Argon2id hash", REMEDY));
        }
        argon2::Params::try_from(&parsed).map_err(|_| ("parameters out of range", REMEDY))?;
        let user = User {
            phc: phc.into(),
            tenant: tenant.clone(),
            proven: OnceLock::new(),
        };
        match self.users.insert(name.into(), user) {
            None => Ok(()),
            Some(_) => Err((
                "this user is named twice",
                "give each user one line, in one tenant",
            )),
        }
    }

    /// The tenant of `user` where this very password has been proven before. Fast.
    pub fn recall(&self, user: &str, password: &[u8]) -> Option<Arc<Tenant>> {
        let user = self.users.get(user)?;
        let tag = user.proven.get()?;
        hmac::verify(&self.key, password, tag.as_ref()).ok()?;
        Some(user.tenant.clone())
    }

    /// The tenant of `user` where the password is right. Takes tens of milliseconds of CPU, for unknown users too.
    pub fn check(&self, user: &str, password: &[u8]) -> Option<Arc<Tenant>> {
        let user = self.users.get(user);
        let phc = user.map_or(self.decoy.as_str(), |user| &user.phc);
        let hash = PasswordHash::new(phc).ok()?;
        let right = Argon2::default().verify_password(password, &hash).is_ok();
        let user = user.filter(|_| right)?;
        user.proven.get_or_init(|| hmac::sign(&self.key, password));
        Some(user.tenant.clone())
    }
}

fn new_key(problems: &mut Problems) -> hmac::Key {
    let mut secret = [0u8; 32];
    if rand::fill(&mut secret).is_err() {
        problems.add("tenant", "the system gives no random octets", "see to it");
    }
    hmac::Key::new(hmac::HMAC_SHA256, &secret)
}

fn read(reference: &str, base: &Path) -> Result<String, String> {
    if let Some(name) = reference.strip_prefix("env:") {
        return std::env::var(name)
            .map_err(|_| format!("the environment has no readable variable {name:?}"));
    }
    let Some(path) = reference.strip_prefix("file:") else {
        return Err("neither \"file:PATH\" nor \"env:NAME\"".into());
    };
    std::fs::read_to_string(base.join(path)).map_err(|e| format!("{path:?} cannot be read: {e}"))
}

/// A hash of nothing in particular with the cost of the users' own. Users with different costs can be told from
/// unknown ones by time; the dearest is what an unknown one costs.
fn decoy(users: &HashMap<Box<str>, User>) -> Option<String> {
    let params = users
        .values()
        .filter_map(|user| PasswordHash::new(&user.phc).ok())
        .filter_map(|hash| argon2::Params::try_from(&hash).ok())
        .max_by_key(|p| u64::from(p.m_cost()) * u64::from(p.t_cost()))
        .unwrap_or_default();
    hash_with(params, b"a password that nobody has")
}

/// A PHC string for `password`, with a fresh salt and the recommended cost.
pub fn hash_password(password: &str) -> Option<String> {
    hash_with(argon2::Params::default(), password.as_bytes())
}

fn hash_with(params: argon2::Params, password: &[u8]) -> Option<String> {
    let mut salt = [0u8; 16];
    rand::fill(&mut salt).ok()?;
    let salt = SaltString::encode_b64(&salt).ok()?;
    let argon = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let hash = argon.hash_password(password, &salt).ok()?;
    Some(hash.to_string())
}

/// As [`hash_password`], at the least cost there is, so that tests are quick.
#[cfg(test)]
pub fn cheap_hash(password: &str) -> String {
    let params = argon2::Params::new(8, 1, 1, None).unwrap();
    hash_with(params, password.as_bytes()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_uses_its_own_domains_only() {
        let domains = ["acme.example", "*.mail.example", "bücher.example"];
        let tenant = Tenant::new("acme", None, domains);
        for own in [
            "acme.example",
            "ACME.Example",
            "a.mail.example",
            "a.b.mail.example",
            "bücher.example",
            "xn--bcher-kva.example",
        ] {
            assert!(tenant.may_use(own), "{own}");
        }
        for other in [
            "",
            "x.acme.example",
            "notacme.example",
            "mail.example",
            "xmail.example",
            "acme.example.evil",
            "a@acme.example",
        ] {
            assert!(!tenant.may_use(other), "{other}");
        }
    }

    #[test]
    fn every_fault_is_told_and_no_secret_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let good = cheap_hash("x");
        let text = format!(
            "# users\n\nann:{good}\nann:{good}\nbob:hunter2\nplain\nold:$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g\n"
        );
        std::fs::write(dir.path().join("users"), text).unwrap();
        let with = |credentials: &str| Config {
            name: "t".into(),
            credentials: Some(credentials.into()),
            ..Config::default()
        };
        let configs = [
            with("file:users"),
            with("file:absent"),
            with("env:MAILWRIGHT_NO_SUCH"),
        ];
        let Err(problems) = Tenants::load(&configs, dir.path()) else {
            panic!("faults were let pass");
        };
        assert_eq!(problems.0.len(), 6, "{problems:?}");
        assert!(!format!("{problems:?}").contains("hunter2"));
    }

    #[test]
    fn configuration_mistakes_are_all_named() {
        let mut problems = Problems::default();
        let bad = Config {
            domains: vec!["no domain".into()],
            credentials: Some("s3cret".into()),
            ..Config::default()
        };
        validate_all(&[bad.clone(), bad], "tenant", &mut problems);
        assert_eq!(problems.0.len(), 7);
        assert!(!format!("{problems:?}").contains("s3cret"));
    }
}
