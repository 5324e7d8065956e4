//! Commands that read messages in files and print one line of JSON for each.

use super::{Exit, Failure, Outcome};
use crate::bounce::rules::Classifier;
use serde::Serialize;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// Octets of a file that are read; no report needs more.
const LARGEST: u64 = 32 << 20;

/// The files of a command.
#[derive(Debug, clap::Args)]
pub struct Files {
    /// Messages as they came; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<OsString>,
}

impl Files {
    /// Prints what `line` makes of each file. One that cannot be read is told on standard error, and the others are
    /// read all the same.
    ///
    /// # Errors
    /// Output failed, or a file could not be read.
    pub fn each<L: Serialize>(
        &self,
        out: &mut dyn Write,
        line: impl Fn(String, &[u8]) -> L,
    ) -> Outcome {
        let mut unread = false;
        for file in &self.files {
            let name = file.to_string_lossy();
            match read(Path::new(file)) {
                Ok(octets) => {
                    let line = serde_json::to_string(&line(name.into_owned(), &octets));
                    let line =
                        line.map_err(|error| Failure::new(Exit::Software, error.to_string()))?;
                    writeln!(out, "{line}")?;
                }
                Err(error) => {
                    eprintln!("{name}: {error}");
                    unread = true;
                }
            }
        }
        match unread {
            true => Err(Failure::new(Exit::Data, "")),
            false => Ok(()),
        }
    }
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    match file == Path::new("-") {
        true => std::io::stdin()
            .lock()
            .take(LARGEST)
            .read_to_end(&mut octets)?,
        false => File::open(file)?.take(LARGEST).read_to_end(&mut octets)?,
    };
    Ok(octets)
}

/// The rules without a configuration.
///
/// # Errors
/// They are wrong, which only a faulty build has.
pub fn shipped_rules() -> Result<Classifier, Failure> {
    Classifier::new().map_err(|problems| {
        let problems: Vec<_> = problems
            .0
            .iter()
            .map(|problem| format!("{}: {}", problem.key, problem.message))
            .collect();
        Failure::new(Exit::Software, problems.join("\n"))
    })
}
