//! What to do about a refusal of which no rule says more.

use crate::mail::{BounceClass, Finding, Subject};

/// By its class and whose failure it is.
pub fn of(finding: Finding) -> &'static str {
    match (finding.class, finding.subject) {
        (BounceClass::Hard, Some(Subject::RecipientDomain)) => {
            "the domain takes no mail: look for slips of the pen where addresses are taken in"
        }
        (BounceClass::Hard, _) => {
            "the address is bad: it is suppressed; where many are, see where the list came from"
        }
        (BounceClass::Soft, _) => {
            "the mailbox cannot take mail now: it is tried again, and suppressed where it fails again and again"
        }
        (BounceClass::Block, Some(Subject::Message)) => {
            "the content is refused: look at links, their domains, attachments and wording of this campaign"
        }
        (BounceClass::Block, Some(Subject::SenderDomain)) => {
            "the sending domain is refused: check SPF, DKIM and DMARC, and whether a list of domains has it"
        }
        (BounceClass::Block, _) => {
            "the source is refused: see the provider's postmaster page and the lists the reply names; send less, to those \
             who open and click, until it is taken again"
        }
        (BounceClass::Policy, Some(Subject::Message)) => {
            "the message breaks a rule of the receiver: `mailwright lint` and the reply say which"
        }
        (BounceClass::Policy, _) => {
            "a rule of the receiver is not met: check SPF, DKIM, DMARC, reverse DNS and TLS with `mailwright dns check`"
        }
        (BounceClass::Config, _) => {
            "the message needs what the receiver has not: encode it at intake (intake.eight_bit), or change the route"
        }
        (BounceClass::Throttled, _) => {
            "the receiver wants less at a time: the window shrinks by itself; where it stays, write lower limits for the \
             provider"
        }
        (BounceClass::Network, _) => {
            "there is no way there now: it is tried again; where it stays, check the domain's DNS and our own network"
        }
        (BounceClass::Autoreply, _) => "a program answered; nothing is to be done",
        (BounceClass::Expired, _) => {
            "it was tried until its time ran out: see what was said before"
        }
        (BounceClass::Dropped, _) => "an operator gave it up",
        (BounceClass::Suppressed, _) => {
            "the receiver keeps a list of its own on which the address is"
        }
        (BounceClass::Unknown, _) => {
            "no rule knows it: read the example, and write a [[bounce_rule]] for what it means"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_refusal_has_its_help() {
        for class in BounceClass::ALL {
            assert!(!of(class.into()).is_empty(), "{class:?}");
        }
    }
}
