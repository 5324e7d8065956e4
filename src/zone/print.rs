//! A plan as lines of zone files, and as JSON.

use super::plan::{Plan, Section};
use super::record::Record;
use super::template::Kind;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// `generate --format json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Printed {
    pub domain: String,
    /// Records by the zone that most likely holds them; every name is whole.
    pub zones: Vec<PrintedZone>,
    /// PTR records, for the owner of the addresses.
    pub reverse: Vec<PrintedRecord>,
    /// Policies to serve over HTTPS.
    pub files: Vec<PrintedFile>,
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrintedZone {
    pub zone: String,
    pub records: Vec<PrintedRecord>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrintedRecord {
    /// With the final dot.
    pub name: String,
    pub ttl: Option<u32>,
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The text of a TXT record as a whole, or the fields.
    pub value: String,
    /// The strings of a TXT record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strings: Vec<String>,
    /// The line of a zone file.
    pub line: String,
    pub template: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrintedFile {
    pub url: String,
    pub text: String,
}

impl Plan {
    pub fn printed(&self) -> Printed {
        let mut zones: BTreeMap<String, Vec<PrintedRecord>> = BTreeMap::new();
        let forward = self.records().filter(|(kind, _)| *kind != Kind::Ptr);
        for (kind, record) in forward {
            let zone = self.zone_of(&record.name);
            zones.entry(zone).or_default().push(printed(kind, record));
        }
        let reverse = self.records().filter(|(kind, _)| *kind == Kind::Ptr);
        let policies = self.policies.iter();
        Printed {
            domain: self.domain.clone(),
            zones: zones
                .into_iter()
                .map(|(zone, records)| PrintedZone { zone, records })
                .collect(),
            reverse: reverse
                .map(|(kind, record)| printed(kind, record))
                .collect(),
            files: policies
                .map(|policy| PrintedFile {
                    url: policy.url.clone(),
                    text: policy.text.clone(),
                })
                .collect(),
            notes: self.notes.clone(),
        }
    }

    /// Lines for zone files, zone by zone, then what others publish and serve; all else is behind semicolons.
    pub fn zone_lines(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _written = self.write_lines(&mut text);
        text
    }

    fn write_lines(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "; What {} needs in DNS. Names are whole; \";\" begins a comment.",
            self.domain
        )?;
        for note in &self.notes {
            writeln!(out, "; NOTE: {note}")?;
        }
        let mut zones: Vec<String> = Vec::new();
        for (_, record) in self.records().filter(|(kind, _)| *kind != Kind::Ptr) {
            let zone = self.zone_of(&record.name);
            if !zones.contains(&zone) {
                zones.push(zone);
            }
        }
        for zone in &zones {
            writeln!(out, "\n; ===== {zone}")?;
            let here = |record: &&Record| self.zone_of(&record.name) == *zone;
            for section in self.sections.iter().filter(|s| s.kind != Kind::Ptr) {
                write_section(section, here, out)?;
            }
        }
        for section in self.sections.iter().filter(|s| s.kind == Kind::Ptr) {
            writeln!(
                out,
                "\n; ===== reverse zones: a list for the owner of the addresses"
            )?;
            write_section(section, |_| true, out)?;
        }
        for policy in &self.policies {
            writeln!(out, "\n; ===== {}", policy.url)?;
            for line in policy.text.lines() {
                writeln!(out, "; {line}")?;
            }
        }
        Ok(())
    }

    /// The domain itself for names in it. For others the last two labels, or three where the second to last is as short
    /// as those of `co.uk`: a guess, which the whole names make harmless.
    fn zone_of(&self, name: &str) -> String {
        let own = name.strip_suffix(self.domain.as_str());
        if own.is_some_and(|rest| rest.is_empty() || rest.ends_with('.')) {
            return self.domain.clone();
        }
        let labels: Vec<&str> = name.split('.').collect();
        let wanted = match labels.as_slice() {
            [.., second, top] if second.len() <= 3 && top.len() == 2 => 3,
            _ => 2,
        };
        labels[labels.len().saturating_sub(wanted)..].join(".")
    }
}

fn write_section(
    section: &Section,
    here: impl Fn(&&Record) -> bool,
    out: &mut String,
) -> fmt::Result {
    let records: Vec<&Record> = section
        .records
        .iter()
        .filter(|record| here(record))
        .collect();
    if records.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    for line in &section.comment {
        writeln!(out, "; {line}")?;
    }
    records
        .iter()
        .try_for_each(|record| writeln!(out, "{record}"))
}

fn printed(kind: Kind, record: &Record) -> PrintedRecord {
    PrintedRecord {
        name: format!("{}.", record.name),
        ttl: record.ttl,
        kind: record.data.kind(),
        value: record.data.value(),
        strings: record.data.strings(),
        line: record.to_string(),
        template: kind.name(),
    }
}
