//! From XML to an [`Aggregate`].

use super::super::period::{Period, instant};
use super::super::xml::{self, Hearer};
use super::super::{Unreadable, text};
use super::{Aggregate, AuthResult, Disposition, Published, Record};

/// Records of a report.
const MOST_RECORDS: usize = 100_000;
/// Signatures, SPF results and reasons of a record that are kept, each.
const MOST_RESULTS: usize = 100;
/// Errors of a reporter that are kept.
const MOST_ERRORS: usize = 20;

/// Reads a report.
///
/// # Errors
/// It is not well-formed, is no report, or lacks what gives it its meaning.
pub fn read(document: &str) -> Result<Aggregate, Unreadable> {
    let mut reader = Reader::default();
    xml::read(document, &mut reader)?;
    reader.finish()
}

#[derive(Default)]
struct Reader {
    report: Aggregate,
    record: Draft,
    /// Elements of that name so far.
    feedbacks: usize,
    policies: usize,
    begin: Option<String>,
    end: Option<String>,
    domain: Option<String>,
}

/// A record that is being read.
#[derive(Default)]
struct Draft {
    record: Record,
    rows: usize,
    count: Option<String>,
}

impl Hearer for Reader {
    fn begins(&mut self, path: &[String]) -> Result<(), Unreadable> {
        if path.last().is_some_and(|name| name == "feedback") {
            self.feedbacks += 1;
            if self.feedbacks > 1 {
                return Err(Unreadable::new("there are several reports in one"));
            }
        }
        let Some(path) = within(path) else {
            return Ok(());
        };
        match names(path).as_slice() {
            ["policy_published"] => self.policies += 1,
            ["record"] => self.record = Draft::default(),
            ["record", "row"] => self.record.rows += 1,
            ["record", "auth_results", "dkim"] => more(&mut self.record.record.signatures),
            ["record", "auth_results", "spf"] => more(&mut self.record.record.spf_results),
            _ => {}
        }
        Ok(())
    }

    fn ends(&mut self, path: &[String], text: &str) -> Result<(), Unreadable> {
        let Some(path) = within(path) else {
            return Ok(());
        };
        match names(path).as_slice() {
            ["report_metadata", rest @ ..] => self.metadata(rest, text),
            // A report has one policy; where there are more the first is that of the domain.
            ["policy_published", leaf] if self.policies == 1 => self.policy(leaf, text),
            ["record"] => return self.keep(),
            ["record", rest @ ..] => self.record.field(rest, text),
            _ => {}
        }
        Ok(())
    }
}

/// The part of a path that is below the report's root, which some wrap into another element.
fn within(path: &[String]) -> Option<&[String]> {
    let root = path.iter().position(|name| name == "feedback")?;
    path.get(root + 1..)
}

fn names(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// Makes room for what the next element says, as far as there may be more.
fn more(results: &mut Vec<AuthResult>) {
    // One that says nothing is none.
    results.retain(|result| *result != AuthResult::default());
    if results.len() < MOST_RESULTS {
        results.push(AuthResult::default());
    }
}

/// The first that says something counts.
fn first(field: &mut Option<String>, value: Option<String>) {
    if field.is_none() {
        *field = value;
    }
}

impl Reader {
    fn metadata(&mut self, path: &[&str], value: &str) {
        let report = &mut self.report;
        match path {
            ["org_name"] => first(&mut report.organization, text::name(value)),
            ["email"] => first(&mut report.email, text::name(value)),
            ["report_id"] => first(&mut report.id, text::name(value)),
            ["date_range", "begin"] => first(&mut self.begin, text::name(value)),
            ["date_range", "end"] => first(&mut self.end, text::name(value)),
            ["error" | "errors"] if report.errors.len() < MOST_ERRORS => {
                report.errors.extend(text::name(value));
            }
            _ => {}
        }
    }

    fn policy(&mut self, leaf: &str, value: &str) {
        let Published {
            p,
            sp,
            np,
            adkim,
            aspf,
            pct,
            fo,
            testing,
            discovery_method,
        } = &mut self.report.policy;
        let field = match leaf {
            "domain" => &mut self.domain,
            "p" => p,
            "sp" => sp,
            "np" => np,
            "adkim" => adkim,
            "aspf" => aspf,
            "pct" => pct,
            "fo" => fo,
            "testing" => testing,
            "discovery_method" => discovery_method,
            _ => return,
        };
        first(field, text::word(value));
    }

    /// A record is whole.
    fn keep(&mut self) -> Result<(), Unreadable> {
        let number = self.report.records.len() + 1;
        if number > MOST_RECORDS {
            return Err(Unreadable::new(format!(
                "there are more than {MOST_RECORDS} records"
            )));
        }
        let record = std::mem::take(&mut self.record);
        let record = record
            .finish()
            .map_err(|why| Unreadable::new(format!("record {number} {why}")))?;
        self.report.records.push(record);
        Ok(())
    }

    fn finish(mut self) -> Result<Aggregate, Unreadable> {
        if self.feedbacks == 0 {
            return Err(Unreadable::new(
                "the XML is no DMARC report: it has no <feedback>",
            ));
        }
        self.report.period = self.period()?;
        self.report.domain = self.about()?;
        let mut counts = self.report.records.iter().map(|record| record.count);
        match counts.try_fold(0u64, u64::checked_add) {
            Some(_) => Ok(self.report),
            None => Err(Unreadable::new("its records count more than there can be")),
        }
    }

    fn period(&self) -> Result<Period, Unreadable> {
        let read = |text: &Option<String>, what: &str| {
            let Some(text) = text else {
                return Err(Unreadable::new(format!(
                    "the report does not say when it {what}"
                )));
            };
            instant(text)
                .ok_or_else(|| Unreadable::new(format!("\"{text}\" is not when a report {what}")))
        };
        Ok(Period {
            begin: read(&self.begin, "begins")?,
            end: read(&self.end, "ends")?,
        })
    }

    /// The domain of the policy; where it is left out, the one that all records are from.
    fn about(&self) -> Result<String, Unreadable> {
        let named = self.domain.as_deref();
        let from = || {
            let mut from = self
                .report
                .records
                .iter()
                .map(|record| record.header_from.as_deref());
            let first = from.next()??;
            from.all(|other| other == Some(first)).then_some(first)
        };
        let Some(domain) = named.or_else(from) else {
            return Err(Unreadable::new(
                "the report does not say which domain it is about",
            ));
        };
        text::domain(domain).ok_or_else(|| Unreadable::new(format!("\"{domain}\" is no domain")))
    }
}

impl Draft {
    fn field(&mut self, path: &[&str], value: &str) {
        let record = &mut self.record;
        match path {
            ["row", "count"] => first(&mut self.count, text::name(value)),
            ["row", "source_ip"] if record.source.is_none() => {
                let address = value.trim_matches(['[', ']']).parse();
                record.source = address.ok().map(|ip: std::net::IpAddr| ip.to_canonical());
            }
            ["row", "policy_evaluated", rest @ ..] => record.evaluated(rest, value),
            ["identifiers" | "identities", "header_from"] => {
                first(&mut record.header_from, text::word(value));
            }
            ["identifiers" | "identities", "envelope_from"] => {
                first(&mut record.envelope_from, text::word(value));
            }
            ["identifiers" | "identities", "envelope_to"] => {
                first(&mut record.envelope_to, text::word(value));
            }
            ["auth_results", "dkim", leaf] => set(&mut record.signatures, leaf, value),
            ["auth_results", "spf", leaf] => set(&mut record.spf_results, leaf, value),
            _ => {}
        }
    }

    fn finish(self) -> Result<Record, String> {
        let Self {
            mut record,
            rows,
            count,
        } = self;
        if rows > 1 {
            return Err("has several rows".to_owned());
        }
        let Some(count) = count else {
            return Err("does not say how many messages it counts".to_owned());
        };
        record.count = count
            .parse()
            .map_err(|_| format!("counts \"{count}\" messages, which is no number"))?;
        record
            .signatures
            .retain(|result| *result != AuthResult::default());
        record
            .spf_results
            .retain(|result| *result != AuthResult::default());
        Ok(record)
    }
}

impl Record {
    fn evaluated(&mut self, path: &[&str], value: &str) {
        let passes = value.eq_ignore_ascii_case("pass");
        match path {
            ["disposition"] => {
                self.disposition = Disposition::of(&value.to_ascii_lowercase());
            }
            ["dkim"] => self.dkim |= passes,
            ["spf"] => self.spf |= passes,
            ["reason", "type"] if self.reasons.len() < MOST_RESULTS => {
                self.reasons.extend(text::word(value));
            }
            _ => {}
        }
    }
}

fn set(results: &mut [AuthResult], leaf: &str, value: &str) {
    let Some(result) = results.last_mut() else {
        return;
    };
    match leaf {
        "domain" => first(&mut result.domain, text::word(value)),
        "selector" => first(&mut result.selector, text::word(value)),
        "scope" => first(&mut result.scope, text::word(value)),
        "result" => first(&mut result.result, text::word(value)),
        _ => {}
    }
}
