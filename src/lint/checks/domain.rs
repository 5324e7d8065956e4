//! L08 to L11: what receivers will find of SPF (RFC 7208) and DMARC (RFC 9989).

use super::Case;
use crate::lint::facts::{Dmarc, DmarcRecord, Source, Spf, SpfResult};
use crate::lint::finding::{Found, Level};
use crate::lint::rule::{BIG_THREE, Rule};

pub(super) static SPF: Rule = Rule::new("L08", "spf-fails", Level::Warn)
    .blocks_bulk()
    .of(BIG_THREE)
    .says(
        "RFC 7208; refused with 4.7.27, 5.7.27 by Google",
        "put the address of the source into the SPF record of the return path's domain",
    );
static SPF_COSTLY: Rule = Rule::new("L08", "spf-lookups", Level::Warn).says(
    "RFC 7208 section 4.6.4",
    "name addresses in place of includes, until there are at most 10 lookups and 2 empty answers",
);
static SPF_UNALIGNED: Rule = Rule::new("L09", "spf-unaligned", Level::Warn)
    .of(&["outlook"])
    .says(
        "RFC 9989 section 4.4",
        "use a return path below the From domain: [[tenant]] return_path_domain",
    );
pub(super) static DMARC_MISSING: Rule = Rule::new("L10", "dmarc-missing", Level::Warn)
    .blocks_bulk()
    .of(BIG_THREE)
    .says(
        "RFC 9989 section 4.10; refused with 5.7.31, 5.7.40 by Google, 5.7.515 by Microsoft",
        "publish \"v=DMARC1; p=none; rua=mailto:...\" at _dmarc. below the From domain",
    );
static NO_REPORTS: Rule = Rule::new("L10", "dmarc-no-reports", Level::Warn).says(
    "RFC 9990",
    "add rua=mailto:... to the record: reports show who else sends in your name",
);
static DMARC_FAILS: Rule = Rule::new("L11", "dmarc-fails", Level::Warn)
    .blocks_bulk()
    .of(BIG_THREE)
    .says(
        "RFC 9989 section 4; refused with 5.7.32 by Google, 5.7.515 by Microsoft",
        "sign with a key of the From domain, or use a return path in it",
    );

pub(super) const RULES: &[&Rule] = &[
    &SPF,
    &SPF_COSTLY,
    &SPF_UNALIGNED,
    &DMARC_MISSING,
    &NO_REPORTS,
    &DMARC_FAILS,
];

/// RFC 7208 §4.6.4.
const MOST_LOOKUPS: u32 = 10;
const MOST_VOID: u32 = 2;

pub(super) fn check(case: &Case<'_>, found: &mut Found) {
    for source in &case.facts.sources {
        if let Some(spf) = &source.spf {
            of_source(source, spf, found);
        }
    }
    if let Some(dmarc) = &case.facts.dmarc {
        of_domain(dmarc, found);
    }
}

fn of_source(source: &Source, spf: &Spf, found: &mut Found) {
    let from = format!("{} ({})", source.name, source.address);
    match spf.result {
        SpfResult::Pass if !spf.aligned => {
            let text = format!(
                "{from}: SPF passes for {}, beside the From domain",
                spf.detail
            );
            found.add(&SPF_UNALIGNED, text);
        }
        SpfResult::Pass => {}
        // Nobody knows; the next time may be another.
        SpfResult::TempError => {
            let text = format!("{from}: SPF is temperror: {}", spf.detail);
            found.add_at(Level::Info, &SPF, text);
        }
        result => found.add(
            &SPF,
            format!("{from}: SPF is {}: {}", result.name(), spf.detail),
        ),
    }
    if spf.lookups > MOST_LOOKUPS || spf.void_lookups > MOST_VOID {
        found.add(
            &SPF_COSTLY,
            format!(
                "{}: {} lookups of {MOST_LOOKUPS}, {} empty answers of {MOST_VOID}",
                spf.detail, spf.lookups, spf.void_lookups
            ),
        );
    }
}

fn of_domain(dmarc: &Dmarc, found: &mut Found) {
    match &dmarc.record {
        DmarcRecord::Missing => found.add(
            &DMARC_MISSING,
            format!("there is no DMARC record: {}", dmarc.detail),
        ),
        DmarcRecord::Invalid(why) => found.add(
            &DMARC_MISSING,
            format!("the DMARC record is no good: {why}; {}", dmarc.detail),
        ),
        DmarcRecord::Found {
            has_reports: false, ..
        } => found.add(
            &NO_REPORTS,
            format!("the DMARC record has no rua: {}", dmarc.detail),
        ),
        DmarcRecord::Found { .. } => {}
    }
    if dmarc.passes == Some(false) {
        found.add(
            &DMARC_FAILS,
            format!(
                "neither SPF nor DKIM passes with an aligned domain: {}",
                dmarc.detail
            ),
        );
    }
}
