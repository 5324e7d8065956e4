//! Whether a message is what mailbox providers ask for, told before they refuse it.
//!
//! [`examine`] is a function of a [`Message`], read once, and of [`Facts`], which only others can know: DNS, our keys,
//! counters. A rule whose facts are absent says nothing; [`unchecked`] tells which these are.
//!
//! | file | rules |
//! |---|---|
//! | `checks/fields` | L01 to L04, L27: From, fields that are there once, octets of the header section, addresses |
//! | `checks/identity` | L05, L24: in whose name it speaks, and whether that name takes answers |
//! | `checks/signing` | L06, L07: DKIM |
//! | `checks/domain` | L08 to L11: SPF and DMARC |
//! | `checks/source` | L12, L13: the addresses that send, and TLS |
//! | `checks/unsubscribe` | L14, L15: how its recipient leaves the list |
//! | `checks/feedback` | L16 to L18: what leads complaints and bounces back |
//! | `checks/standing` | L19 to L21: recipients, volumes, rates |
//! | `checks/content` | L22, L23: sizes, attachments, links |
//! | `checks/amp` | L25: AMP for email |
//! | `checks/structure` | L26: MIME |
//!
//! Every rule has an id (that of its family) and a name of its own; the configuration knows it by either.

mod checks;
mod config;
pub mod facts;
mod finding;
mod message;
mod rule;

pub use config::{AtSubmission, Config, SetLevel, Settings, TenantConfig, validate_tenant};
pub use facts::Facts;
pub use finding::{Finding, Level, blocks};
pub use message::{Message, network_lines};
pub use rule::{Rule, rules};

use checks::Case;
use finding::Found;

/// What is wrong with a message: what blocks it first, then by id. At most [`finding::MOST`] findings, each of bounded
/// length, whatever the message is.
pub fn examine(message: &Message, facts: &Facts) -> Vec<Finding> {
    let case = Case { message, facts };
    let mut found = Found::new(facts);
    for check in checks::ALL {
        check(&case, &mut found);
    }
    found.sorted()
}

/// Which rules could say nothing because their facts are absent, for who wants to know.
pub fn unchecked(facts: &Facts) -> Vec<Finding> {
    let mut found = Found::new(facts);
    checks::unchecked(facts, &mut found);
    found.sorted()
}

#[cfg(test)]
mod tests;
