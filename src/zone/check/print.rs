//! Findings for people and for programs.

use super::{Finding, Sum, Weight, sum};
use serde::Serialize;
use std::io::{self, Write};

/// `check --format json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub domain: String,
    /// `good`, `change` or `unanswered`.
    pub result: &'static str,
    /// The most harmful first; what is good comes last.
    pub findings: Vec<ReportedFinding>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportedFinding {
    pub check: &'static str,
    /// `must`, `unknown`, `should` or `good`.
    pub weight: &'static str,
    /// With the final dot.
    pub name: String,
    pub message: String,
    /// What comes of it; empty where it is good.
    pub harm: &'static str,
    /// Zone lines.
    pub publish: Vec<String>,
    pub found: Vec<String>,
    pub remedy: String,
}

impl Weight {
    pub fn name(self) -> &'static str {
        match self {
            Self::Must => "must",
            Self::Unknown => "unknown",
            Self::Should => "should",
            Self::Good => "good",
        }
    }
}

impl Report {
    pub fn new(domain: &str, findings: &[Finding]) -> Self {
        Self {
            domain: domain.to_owned(),
            result: match sum(findings) {
                Sum::Good => "good",
                Sum::Change => "change",
                Sum::Unanswered => "unanswered",
            },
            findings: findings.iter().map(ReportedFinding::of).collect(),
        }
    }

    /// What to change, each with the line to publish and the one found; then what is good.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let of = |weight: Weight| {
            let all = self.findings.iter();
            all.filter(move |finding| finding.weight == weight.name())
        };
        writeln!(
            out,
            "{}: {} to change, {} unanswered, {} that would be better, {} good",
            self.domain,
            of(Weight::Must).count(),
            of(Weight::Unknown).count(),
            of(Weight::Should).count(),
            of(Weight::Good).count()
        )?;
        let titles = [
            (Weight::Must, "MUST"),
            (Weight::Unknown, "UNKNOWN"),
            (Weight::Should, "SHOULD"),
        ];
        for (weight, title) in titles {
            for finding in of(weight) {
                finding.write(title, out)?;
            }
        }
        for (at, finding) in of(Weight::Good).enumerate() {
            if at == 0 {
                writeln!(out)?;
            }
            writeln!(
                out,
                "good     {} {}: {}",
                finding.check, finding.name, finding.message
            )?;
        }
        Ok(())
    }
}

impl ReportedFinding {
    fn of(finding: &Finding) -> Self {
        let harm = match finding.weight {
            Weight::Good => "",
            _ => finding.topic.harm(),
        };
        Self {
            check: finding.topic.name(),
            weight: finding.weight.name(),
            name: format!("{}.", finding.name),
            message: finding.message.clone(),
            harm,
            publish: finding.publish.iter().map(ToString::to_string).collect(),
            found: finding.found.clone(),
            remedy: finding.remedy.clone(),
        }
    }

    fn write(&self, title: &str, out: &mut dyn Write) -> io::Result<()> {
        let Self { check, name, .. } = self;
        writeln!(out, "\n{title:<8} {check} {name}: {}", self.message)?;
        writeln!(out, "  harm     {}", self.harm)?;
        for line in &self.publish {
            writeln!(out, "  publish  {line}")?;
        }
        if !self.remedy.is_empty() {
            writeln!(out, "  do       {}", self.remedy)?;
        }
        for line in &self.found {
            writeln!(out, "  found    {line}")?;
        }
        Ok(())
    }
}
