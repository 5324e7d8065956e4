//! From a file to a checked configuration, or to everything that is wrong with it.

use super::Config;
use super::document::Document;
use super::gather::{Fault, gather};
use super::paths;
use crate::problem::{Problem, Problems};
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// One mistake in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Counted from 1; the closest line of the file where the key itself is left to its default.
    pub line: usize,
    /// Dotted path with positions in lists; empty for the file as a whole.
    pub key: String,
    pub message: String,
    /// What to write instead.
    pub remedy: String,
}

/// Why a configuration was not taken: every mistake in it, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub file: PathBuf,
    pub findings: Vec<Finding>,
}

impl Refused {
    /// Problems found beyond the text of `file` (in files it names), each at its key's line.
    pub fn located(file: Option<&Path>, problems: Problems) -> Self {
        let file = customary(file).unwrap_or(Path::new(CUSTOMARY));
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let findings = match Document::parse(&text) {
            Ok(document) => problems
                .0
                .into_iter()
                .map(|problem| at_its_line(problem, &document))
                .collect(),
            Err(_) => Vec::new(),
        };
        refused(file, findings)
    }
}

/// `FILE:LINE: KEY: message`, then the remedy on an indented line; one pair a mistake.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, finding) in self.findings.iter().enumerate() {
            let end = if i == 0 { "" } else { "\n" };
            write!(f, "{end}{}:{}: ", self.file.display(), finding.line)?;
            if !finding.key.is_empty() {
                write!(f, "{}: ", finding.key)?;
            }
            write!(f, "{}\n    {}", finding.message, finding.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// Read where no path is given and the file is there.
const CUSTOMARY: &str = "mailwright.toml";

/// The file that is read: the one named, or the customary one where it exists.
fn customary(path: Option<&Path>) -> Option<&Path> {
    let customary = Some(Path::new(CUSTOMARY)).filter(|file| file.exists());
    path.or(customary)
}

pub fn load(path: Option<&Path>) -> Result<Config, Refused> {
    let Some(file) = customary(path) else {
        return Ok(Config::default());
    };
    match std::fs::read_to_string(file) {
        Ok(text) => parse(&text, file),
        Err(error) => Err(refused(
            file,
            vec![Finding {
                line: 1,
                key: String::new(),
                message: format!("cannot be read: {error}"),
                remedy: "name a readable UTF-8 file with --config".to_owned(),
            }],
        )),
    }
}

pub fn parse(text: &str, file: &Path) -> Result<Config, Refused> {
    let mut document = Document::parse(text).map_err(|errors| {
        let findings = errors.into_iter().map(|error| Finding {
            line: error.line,
            key: String::new(),
            message: format!("is not TOML here: {}", error.message),
            remedy: "write key = value, with texts in double quotes".to_owned(),
        });
        refused(file, findings.collect())
    })?;
    paths::anchor(&mut document, file.parent().unwrap_or(Path::new("")));
    let read = gather::<Config>(&mut document, &Config::schema());
    let mut findings: Vec<Finding> = read.faults.into_iter().map(Finding::from).collect();
    if let Some(config) = &read.value {
        let mut problems = Problems::default();
        config.validate(&mut problems);
        let told = problems.0.into_iter().map(|p| at_its_line(p, &document));
        findings.extend(told.filter(|found| !is_doubtful(&found.key, &read.doubtful)));
    }
    match read.value {
        Some(config) if findings.is_empty() => Ok(config),
        _ => Err(refused(file, findings)),
    }
}

fn refused(file: &Path, mut findings: Vec<Finding>) -> Refused {
    findings.sort_by_key(|finding| finding.line);
    Refused {
        file: file.to_owned(),
        findings,
    }
}

fn at_its_line(problem: Problem, document: &Document<'_>) -> Finding {
    let place = document.find(&problem.key);
    Finding {
        line: place.line,
        key: place.key,
        message: problem.message,
        remedy: problem.remedy,
    }
}

/// Whether the value at `key` is not the file's: its own mistake has been told.
fn is_doubtful(key: &str, doubtful: &HashSet<String>) -> bool {
    doubtful.iter().any(|known| {
        key.strip_prefix(known.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

impl From<Fault> for Finding {
    fn from(fault: Fault) -> Self {
        Self {
            line: fault.place.line,
            key: fault.place.key,
            message: fault.message,
            remedy: fault.remedy,
        }
    }
}
