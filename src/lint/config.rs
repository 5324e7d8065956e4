//! `[lint]`: how bad each rule is here, and what is done about it at submission.

use super::finding::{Finding, Level};
use super::rule::{Rule, rules};
use crate::mail::Stream;
use crate::problem::Problems;
use crate::units::Size;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Levels by id (`L14`) or by name (`one-click-missing`); a name goes before the id of its family.
pub type Levels = BTreeMap<String, SetLevel>;

/// How bad a rule is made; off, it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SetLevel {
    Off,
    Info,
    Warn,
    Block,
}

/// What is done about findings when a message is handed in.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "LintAtSubmission")]
pub enum AtSubmission {
    /// Messages are not examined.
    #[default]
    Off,
    /// Findings are written into the message and the event.
    Warn,
    /// As warn; and where a rule blocks, the message is refused.
    Block,
}

/// The compliance lint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Lint")]
pub struct Config {
    /// What is done when a message is handed in: "off", "warn" (a field and a word in the event) or "block" (refused
    /// with 550 where a rule blocks).
    pub at_submission: AtSubmission,
    /// From so many messages of a From domain to one provider in 24 hours on the rules for senders in bulk block, where that
    /// number is known.
    pub bulk_from: u64,
    /// So much of a body is examined at submission. Up to this much memory is used for each message while it comes in.
    pub body_limit: Size,
    /// Levels by id or name of the rule: "off", "info", "warn" or "block".
    pub rules: Levels,
    /// The same for marketing mail alone.
    pub marketing: Levels,
    /// The same for transactional mail alone.
    pub transactional: Levels,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            at_submission: AtSubmission::Off,
            bulk_from: 5_000,
            body_limit: Size::mib(1),
            rules: Levels::new(),
            marketing: Levels::new(),
            transactional: Levels::new(),
        }
    }
}

/// `[[tenant]] lint`: in place of `[lint]`, what is there.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "TenantLint")]
pub struct TenantConfig {
    pub at_submission: Option<AtSubmission>,
    /// Levels by id or name of the rule.
    pub rules: Levels,
    /// The same for its marketing mail alone.
    pub marketing: Levels,
    /// The same for its transactional mail alone.
    pub transactional: Levels,
}

impl TenantConfig {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Config {
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.bulk_from == 0 {
            problems.add(
                format!("{at}.bulk_from"),
                "0 makes everybody a sender in bulk",
                "write 1 for that, or 5000 as Google and Microsoft count",
            );
        }
        if self.body_limit > Size::mib(16) {
            problems.add(
                format!("{at}.body_limit"),
                format!(
                    "{} of each message would be kept in memory",
                    self.body_limit
                ),
                "write 16MiB or less",
            );
        }
        let lists = [&self.rules, &self.marketing, &self.transactional];
        validate_levels(lists, at, problems);
    }
}

/// The lint of one tenant.
pub fn validate_tenant(own: &TenantConfig, at: &str, problems: &mut Problems) {
    validate_levels(
        [&own.rules, &own.marketing, &own.transactional],
        at,
        problems,
    );
}

fn validate_levels(lists: [&Levels; 3], at: &str, problems: &mut Problems) {
    let names = ["rules", "marketing", "transactional"];
    for (list, levels) in names.into_iter().zip(lists) {
        for key in levels.keys().filter(|key| !is_known(key)) {
            problems.add(
                format!("{at}.{list}.{key}"),
                format!("there is no rule \"{key}\""),
                remedy(key),
            );
        }
    }
}

fn is_known(key: &str) -> bool {
    rules().any(|rule| rule.id == key || rule.name == key)
}

fn remedy(key: &str) -> String {
    let nearest = rules()
        .map(|rule| (strsim::damerau_levenshtein(key, rule.name), rule.name))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    match nearest {
        Some((_, name)) => format!("did you mean \"{name}\"?"),
        None => {
            "write an id from L01 to L27, or a name that `mailwright lint --rules` lists".to_owned()
        }
    }
}

/// The configuration as it is asked: whose mail, which stream.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub config: Config,
    tenants: HashMap<Box<str>, TenantConfig>,
}

impl Settings {
    pub fn new<'t>(
        config: &Config,
        tenants: impl IntoIterator<Item = (&'t str, &'t TenantConfig)>,
    ) -> Self {
        let own = tenants.into_iter().filter(|(_, own)| !own.is_default());
        Self {
            config: config.clone(),
            tenants: own.map(|(name, own)| (name.into(), own.clone())).collect(),
        }
    }

    pub fn at_submission(&self, tenant: Option<&str>) -> AtSubmission {
        let own = self.tenant(tenant).and_then(|own| own.at_submission);
        own.unwrap_or(self.config.at_submission)
    }

    /// Whether any mail is examined at submission.
    pub fn is_on(&self) -> bool {
        let own = self.tenants.values().filter_map(|own| own.at_submission);
        let mut all = own.chain([self.config.at_submission]);
        all.any(|at| at != AtSubmission::Off)
    }

    /// The findings at the levels of this configuration, the worst first.
    pub fn judge(
        &self,
        findings: Vec<Finding>,
        tenant: Option<&str>,
        stream: Option<Stream>,
    ) -> Vec<Finding> {
        let lists = self.lists(tenant, stream.unwrap_or_default());
        let judged = findings.into_iter().filter_map(|mut finding| {
            // What we put right ourselves is no fault of the message.
            if finding.level != Level::Fix || set(&lists, &finding) == Some(SetLevel::Off) {
                match set(&lists, &finding) {
                    None => {}
                    Some(SetLevel::Off) => return None,
                    Some(SetLevel::Info) => finding.level = Level::Info,
                    Some(SetLevel::Warn) => finding.level = Level::Warn,
                    Some(SetLevel::Block) => finding.level = Level::Block,
                }
            }
            Some(finding)
        });
        let mut judged: Vec<Finding> = judged.collect();
        judged.sort_by_key(|finding| (std::cmp::Reverse(finding.level), finding.id));
        judged
    }

    fn tenant(&self, tenant: Option<&str>) -> Option<&TenantConfig> {
        tenant.and_then(|name| self.tenants.get(name))
    }

    /// What holds, the most specific first.
    fn lists(&self, tenant: Option<&str>, stream: Stream) -> Vec<&Levels> {
        let own = self.tenant(tenant);
        let config = &self.config;
        let own = own.map(|own| match stream {
            Stream::Marketing => [&own.marketing, &own.rules],
            Stream::Transactional => [&own.transactional, &own.rules],
        });
        let common = match stream {
            Stream::Marketing => [&config.marketing, &config.rules],
            Stream::Transactional => [&config.transactional, &config.rules],
        };
        own.into_iter().flatten().chain(common).collect()
    }
}

fn set(lists: &[&Levels], finding: &Finding) -> Option<SetLevel> {
    let found = lists
        .iter()
        .find_map(|levels| levels.get(finding.rule).or_else(|| levels.get(finding.id)));
    found.copied()
}

/// For tables: a rule in one line.
impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let level = if self.blocks_bulk {
            "warn, block in bulk"
        } else {
            self.level.name()
        };
        write!(f, "{}  {:<22} {:<20}", self.id, self.name, level)
    }
}
