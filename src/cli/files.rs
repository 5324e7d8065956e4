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
            match read(Path::new(file), LARGEST) {
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

/// The first `most` octets of a file, or of standard input where it is `-`.
pub fn read(file: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    match file == Path::new("-") {
        true => std::io::stdin()
            .lock()
            .take(most)
            .read_to_end(&mut octets)?,
        false => File::open(file)?.take(most).read_to_end(&mut octets)?,
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

#[cfg(test)]
mod tests {
    use crate::cli::Exit;
    use crate::cli::tests::mailwright;
    use serde_json::Value;

    const NOTICE: &str = "From: MAILER-DAEMON@mx.example.org\nSubject: failure notice\n\n<ann@example.net>:\n\
                          550 5.1.1 User unknown\n";
    const COMPLAINT: &str = "From: loop@example.org\nContent-Type: multipart/report; boundary=x\n\n--x\n\
                             Content-Type: message/feedback-report\n\nFeedback-Type: not-spam\n--x--\n";

    #[test]
    fn every_file_has_a_line_and_one_that_is_missing_keeps_no_other_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (notice, complaint) = (path("n.eml", NOTICE), path("c.eml", COMPLAINT));
        let (noise, missing) = (path("x.eml", "\0\0"), format!("{notice}.missing"));
        let parse = |what| {
            let (exit, out) = mailwright(&[what, "parse", &notice, &missing, &complaint, &noise]);
            let lines = out
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap());
            (exit, lines.collect::<Vec<_>>())
        };

        let (exit, lines) = parse("bounce");
        assert_eq!((exit, lines.len()), (Exit::Data, 3));
        assert_eq!(lines[0]["file"], notice);
        let kinds: Vec<_> = lines
            .iter()
            .map(|line| line["kind"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["dsn", "feedback", "unknown"]);
        let ann = &lines[0]["recipients"][0];
        assert_eq!(
            (&ann["address"], &ann["action"]),
            (&"ann@example.net".into(), &"failed".into())
        );
        assert_eq!(
            (&ann["class"], &ann["subject"]),
            (&"hard".into(), &"recipient".into())
        );
        assert_eq!(
            (&ann["severity"], &ann["remote_mta"]),
            (&"hard".into(), &Value::Null)
        );
        assert_eq!(lines[0]["original"]["token"], Value::Null);

        let (_, lines) = parse("feedback");
        let kinds: Vec<_> = lines
            .iter()
            .map(|line| line["kind"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["message", "feedback", "unknown"]);
        assert_eq!(lines[1]["feedback_type"], "not-spam");
        assert_eq!(lines[0]["feedback_type"], Value::Null);
    }
}
