//! What a refusal means, on two axes: what kind of failure it is, and whose.

use serde::{Deserialize, Serialize};

/// What kind of failure it is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum BounceClass {
    /// The address is bad: unknown user, unknown domain, null MX.
    Hard,
    /// A failure of the moment that the server called permanent: mailbox full.
    Soft,
    /// The receiver refuses us or the message for its reputation or content.
    Block,
    /// The receiver refuses the message by a rule: authentication, size, relaying.
    Policy,
    /// Next hop and message do not fit: 8BITMIME, SMTPUTF8, TLS required.
    Config,
    /// Time ran out.
    Expired,
    /// The operator dropped it.
    Dropped,
    /// The receiver wants less at a time: rates, connections, greylisting.
    Throttled,
    /// No way there: DNS, connections, a server in trouble.
    Network,
    /// A person is away, or a program answers for one; the message arrived.
    Autoreply,
    /// We did not send it: its recipient is suppressed.
    Suppressed,
    /// A failure that gives no reason.
    Unknown,
}

/// Whose failure it is. Only [`Subject::Recipient`] may ever lead to a suppression.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    Recipient,
    RecipientDomain,
    SourceIp,
    SenderDomain,
    Message,
    Us,
}

/// How bad it is for the address, as reports count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The address is not to be tried again.
    Hard,
    Soft,
    /// It says nothing of the address or of the mail.
    None,
}

/// What was found of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Finding {
    pub class: BounceClass,
    /// `None` where nobody can say.
    pub subject: Option<Subject>,
}

impl Finding {
    pub const fn new(class: BounceClass, subject: Subject) -> Self {
        Self {
            class,
            subject: Some(subject),
        }
    }

    /// The address itself is bad, so that it is not to be written to again.
    pub fn condemns(self) -> bool {
        self.severity() == Severity::Hard && self.subject == Some(Subject::Recipient)
    }

    /// It counts towards the suppression of an address that fails again and again.
    pub fn counts_against(self) -> bool {
        self.class == BounceClass::Soft && self.subject == Some(Subject::Recipient)
    }

    pub fn severity(self) -> Severity {
        self.class.severity()
    }
}

impl BounceClass {
    /// All of them, for tables.
    pub const ALL: [Self; 12] = [
        Self::Hard,
        Self::Soft,
        Self::Block,
        Self::Policy,
        Self::Config,
        Self::Expired,
        Self::Dropped,
        Self::Throttled,
        Self::Network,
        Self::Autoreply,
        Self::Suppressed,
        Self::Unknown,
    ];

    /// As events and metrics write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::Block => "block",
            Self::Policy => "policy",
            Self::Config => "config",
            Self::Expired => "expired",
            Self::Dropped => "dropped",
            Self::Throttled => "throttled",
            Self::Network => "network",
            Self::Autoreply => "autoreply",
            Self::Suppressed => "suppressed",
            Self::Unknown => "unknown",
        }
    }

    pub const fn severity(self) -> Severity {
        match self {
            Self::Hard => Severity::Hard,
            Self::Soft
            | Self::Block
            | Self::Policy
            | Self::Expired
            | Self::Throttled
            | Self::Network
            | Self::Unknown => Severity::Soft,
            Self::Config | Self::Dropped | Self::Autoreply | Self::Suppressed => Severity::None,
        }
    }

    /// Whose failure it is where nothing more is known than the class.
    pub const fn subject(self) -> Option<Subject> {
        match self {
            Self::Hard | Self::Soft | Self::Autoreply | Self::Suppressed => {
                Some(Subject::Recipient)
            }
            Self::Block | Self::Throttled => Some(Subject::SourceIp),
            Self::Policy => Some(Subject::Message),
            Self::Network => Some(Subject::RecipientDomain),
            Self::Config | Self::Dropped => Some(Subject::Us),
            Self::Expired | Self::Unknown => None,
        }
    }
}

impl From<BounceClass> for Finding {
    fn from(class: BounceClass) -> Self {
        Self {
            class,
            subject: class.subject(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_of_the_recipient_is_held_against_it() {
        for class in BounceClass::ALL {
            for subject in [
                None,
                Some(Subject::RecipientDomain),
                Some(Subject::SourceIp),
                Some(Subject::SenderDomain),
                Some(Subject::Message),
                Some(Subject::Us),
            ] {
                let finding = Finding { class, subject };
                assert!(!finding.condemns(), "{finding:?}");
                assert!(!finding.counts_against(), "{finding:?}");
            }
        }
        assert!(Finding::from(BounceClass::Hard).condemns());
        assert!(Finding::from(BounceClass::Soft).counts_against());
    }

    #[test]
    fn names_are_those_of_events() {
        for class in BounceClass::ALL {
            let json = serde_json::to_value(class).unwrap();
            assert_eq!(json, class.name());
        }
    }
}
