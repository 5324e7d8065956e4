//! The rules that come with the program, and where the operator's stand among them.

use super::config::RuleConfig;
use super::matcher::Placed;
use crate::problem::Problems;
use serde::Deserialize;

/// `config/bounce-rules.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shipped {
    pub rule: Vec<RuleConfig>,
    /// Asked last; a reply that only these take is one that the rules miss.
    pub fallback: Vec<RuleConfig>,
}

const TEXT: &str = include_str!("../../../config/bounce-rules.toml");
/// How it is called where something in it is named.
const FILE: &str = "config/bounce-rules.toml";

impl Shipped {
    /// A file that cannot be read is a fault of the build, and noted like one of the operator's.
    pub fn read(problems: &mut Problems) -> Self {
        toml::from_str(TEXT).unwrap_or_else(|error| {
            problems.add(
                FILE,
                format!("{error}"),
                "this build is broken: use another",
            );
            Self::default()
        })
    }

    /// Every rule in the order in which they are asked.
    pub fn placed<'c>(&'c self, own: &'c [RuleConfig]) -> Vec<Placed<'c>> {
        let own = own.iter().enumerate();
        let own = own.map(|(i, rule)| Placed {
            rule,
            place: format!("bounce_rule[{i}]"),
            fallback: false,
        });
        let shipped = |fallback| {
            move |rule: &'c RuleConfig| Placed {
                rule,
                place: format!("{FILE}: {}", rule.name),
                fallback,
            }
        };
        own.chain(self.rule.iter().map(shipped(false)))
            .chain(self.fallback.iter().map(shipped(true)))
            .collect()
    }
}
