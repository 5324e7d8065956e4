//! How a command ends.

use std::process::ExitCode;

/// Exit codes of sysexits.h, by their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    /// The command line is wrong.
    Usage = 64,
    /// What was given to read is wrong, or names nothing.
    Data = 65,
    /// Nobody answers.
    Unavailable = 69,
    /// The program itself failed.
    Software = 70,
    /// A file or standard output cannot be written.
    Io = 74,
    /// It may work another time.
    TemporaryFailure = 75,
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what it was asked for. An empty message is not printed.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }
}

impl From<crate::config::Refused> for Failure {
    fn from(refused: crate::config::Refused) -> Self {
        Self::new(Exit::Config, refused.to_string())
    }
}

/// Standard output is gone, or a file cannot be written.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            // `mailwright queue list | head`: the reader has what it wanted.
            std::io::ErrorKind::BrokenPipe => Self::new(Exit::Ok, ""),
            _ => Self::new(Exit::Io, error.to_string()),
        }
    }
}
