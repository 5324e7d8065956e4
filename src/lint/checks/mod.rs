//! The checks, one file for each kind of fault; a rule's words stand beside the code that checks it.

mod amp;
mod content;
mod domain;
mod feedback;
mod fields;
mod identity;
mod signing;
mod source;
mod standing;
mod structure;
mod unsubscribe;

use super::facts::{Facts, Signature, Signing};
use super::finding::{Found, Level};
use super::message::Message;
use super::rule::Rule;
use std::borrow::Cow;

/// What a check looks at.
pub(super) struct Case<'a> {
    pub message: &'a Message,
    pub facts: &'a Facts,
}

pub(super) type Check = fn(&Case<'_>, &mut Found);

pub(super) const ALL: &[Check] = &[
    fields::check,
    identity::check,
    signing::check,
    domain::check,
    source::check,
    unsubscribe::check,
    feedback::check,
    standing::check,
    content::check,
    amp::check,
    structure::check,
];

pub(super) const RULES: &[&[&Rule]] = &[
    fields::RULES,
    identity::RULES,
    signing::RULES,
    domain::RULES,
    source::RULES,
    unsubscribe::RULES,
    feedback::RULES,
    standing::RULES,
    content::RULES,
    amp::RULES,
    structure::RULES,
];

impl Case<'_> {
    /// The signatures that the message will carry: ours, or those that came with it where nobody knows of ours.
    fn signatures(&self) -> Cow<'_, [Signature]> {
        match &self.facts.signing {
            Some(Signing::Signed(signatures)) => Cow::Borrowed(signatures),
            Some(Signing::Unsigned) | None => Cow::Owned(signing::carried(self.message)),
        }
    }

    /// Whether it is known that no signature that is aligned, or may be, covers every field of this name; `None`
    /// where nobody knows what signatures there will be.
    fn is_uncovered(&self, field: &str) -> Option<bool> {
        let signatures = self.signatures();
        if signatures.is_empty() {
            return self.facts.signing.as_ref().map(|_| true);
        }
        let count = self.message.head.count(field).max(1);
        let covers = |signature: &Signature| {
            let covered = signature.covers.iter();
            let named = covered.filter(|name| name.eq_ignore_ascii_case(field));
            // Where we put the field in we sign it too.
            named.count() >= count || self.message.head.count(field) == 0
        };
        Some(!signatures.iter().any(covers))
    }

    fn has(&self, field: &str) -> bool {
        self.message.head.first(field).is_some()
    }
}

/// Tells of each kind of fact that is absent.
pub(super) fn unchecked(facts: &Facts, found: &mut Found) {
    let dns = |of: fn(&super::facts::Domain) -> bool| facts.domains.values().any(of);
    let sources = &facts.sources;
    let known: &[(bool, &'static Rule, &str)] = &[
        (
            dns(|d| d.mail.is_some()),
            &fields::FROM_DOMAIN,
            "whether the From domain takes mail",
        ),
        (
            dns(|d| d.ours.is_some()),
            &identity::NOT_OURS,
            "whose the From domain is",
        ),
        (facts.signing.is_some(), &signing::UNSIGNED, "our DKIM keys"),
        (
            sources.iter().any(|s| s.spf.is_some()),
            &domain::SPF,
            "SPF of the sources",
        ),
        (
            facts.dmarc.is_some(),
            &domain::DMARC_MISSING,
            "the DMARC record",
        ),
        (
            sources.iter().any(|s| s.reverse.is_some()),
            &source::PTR_MISSING,
            "names of the sources",
        ),
        (facts.tls.is_some(), &source::CLEARTEXT, "TLS of the route"),
        (
            facts.traced.is_some(),
            &feedback::UNTRACED,
            "tokens of return paths",
        ),
        (
            !facts.recipients.is_empty(),
            &standing::SUPPRESSED,
            "the recipients",
        ),
        (
            !facts.volume.is_empty(),
            &standing::BULK,
            "the volume of the last 24 hours",
        ),
        (
            !facts.rates.is_empty(),
            &standing::COMPLAINTS,
            "rates of complaints and bounces",
        ),
        (
            dns(|d| d.listed.is_some()),
            &content::URL_LISTED,
            "blocklists of domains",
        ),
    ];
    for (is_known, rule, what) in known {
        if !is_known {
            found.add_at(
                Level::Info,
                rule,
                format!("not checked: {what} is not known here"),
            );
        }
    }
}
