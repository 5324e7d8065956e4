//! L19 to L21: recipients, volumes, rates.

use super::Case;
use crate::lint::facts::{Limits, Rate, RateKind};
use crate::lint::finding::{Found, Level};
use crate::lint::rule::{BIG_THREE, Rule};
use crate::policy::share::{Share, in_percent};

pub(super) static SUPPRESSED: Rule = Rule::new("L19", "suppressed", Level::Block).says(
    "RFC 3464: an address that failed for good",
    "take the address off the list; `mailwright suppress check` tells why it is there",
);
static ROLE: Rule = Rule::new("L19", "role-address", Level::Warn)
    .marketing()
    .says(
        "RFC 2142",
        "write to people who asked for it: a role's mailbox has many readers and did not",
    );
pub(super) static BULK: Rule = Rule::new("L20", "bulk-sender", Level::Info)
    .of(BIG_THREE)
    .says(
        "Google's sender guidelines: 5,000 a day, for good once reached",
        "nothing: rules for senders in bulk hold for this domain",
    );
pub(super) static COMPLAINTS: Rule = Rule::new("L21", "complaint-rate", Level::Warn)
    .of(BIG_THREE)
    .says(
        "Google, Yahoo: below 0.1 %, never 0.3 %",
        "send to fewer who do not read, and find out which campaign is complained of: `mailwright report --by campaign`",
    );
static BOUNCES: Rule = Rule::new("L21", "bounce-rate", Level::Warn).says(
    "usual thresholds: 2 %, 5 %",
    "check where the addresses come from: `mailwright report --by campaign`",
);

pub(super) const RULES: &[&Rule] = &[&SUPPRESSED, &ROLE, &BULK, &COMPLAINTS, &BOUNCES];

/// RFC 2142, and what else no person has alone.
const ROLES: [&str; 24] = [
    "abuse",
    "admin",
    "administrator",
    "billing",
    "contact",
    "ftp",
    "help",
    "hostmaster",
    "info",
    "mailer-daemon",
    "marketing",
    "news",
    "no-reply",
    "noc",
    "noreply",
    "office",
    "postmaster",
    "root",
    "sales",
    "security",
    "spam",
    "support",
    "usenet",
    "webmaster",
];

pub(super) fn check(case: &Case<'_>, found: &mut Found) {
    let facts = case.facts;
    for (address, why) in &facts.suppressed {
        found.add(&SUPPRESSED, format!("{address}: {why}"));
    }
    for recipient in &facts.recipients {
        let local = recipient.local().to_ascii_lowercase();
        let bare = local.split('+').next().unwrap_or_default();
        if ROLES.contains(&bare) {
            found.add(&ROLE, format!("{recipient} is a role's address"));
        }
    }
    if let Some((provider, count)) = facts.bulk() {
        found.add(
            &BULK,
            format!(
                "{count} messages of the From domain to {provider} in 24 hours, {} count as bulk",
                facts.limits.bulk_from
            ),
        );
    }
    for rate in &facts.rates {
        of_rate(rate, &facts.limits, found);
    }
}

fn of_rate(rate: &Rate, limits: &Limits, found: &mut Found) {
    let (rule, what, (warn, block)): (_, _, (Share, Share)) = match rate.kind {
        RateKind::Complaints => (&COMPLAINTS, "complaints", limits.complaints),
        RateKind::Bounces => (&BOUNCES, "bounces", limits.bounces),
    };
    let Rate {
        part, of, slice, ..
    } = rate;
    // One of a hundred is chance.
    if *of < limits.least_sample / 10 || !warn.is_reached(*part, *of) {
        return;
    }
    let is_over = block.is_reached(*part, *of) && *of >= limits.least_sample;
    let (level, limit) = if is_over {
        (Level::Block, block)
    } else {
        (Level::Warn, warn)
    };
    let text = format!(
        "{slice}: {part} {what} of {of} ({}), over {limit}",
        in_percent(*part, *of)
    );
    found.add_at(level, rule, text);
}
