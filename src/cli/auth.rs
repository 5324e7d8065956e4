//! `auth hash`: a line for a tenant's credentials.

use super::{Exit, Failure, Outcome};
use crate::auth::credentials::hash_password;
use std::io::{BufRead, Write};

/// Credentials of tenants.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Hash(Hash),
}

/// Reads a password from standard input and prints the line for the tenant's credentials: user, and password as an
/// Argon2id hash.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
struct Hash {
    /// The name to authenticate with.
    user: String,
}

const EXAMPLE: &str = "\
Example:
  mailwright auth hash acme-app < password.txt >> acme.users";

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    let Command::Hash(hash) = &args.command;
    line(&hash.user, &mut std::io::stdin().lock(), out)
}

fn line(user: &str, input: &mut dyn BufRead, out: &mut dyn Write) -> Outcome {
    if user.is_empty()
        || user.contains(|c: char| c == ':' || c.is_control())
        || user.starts_with('#')
    {
        return Err(Failure::new(
            Exit::Usage,
            "a user has no colon, no control character and no # in front",
        ));
    }
    let mut password = String::new();
    input.read_line(&mut password)?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::new(
            Exit::Data,
            "there is no password on standard input",
        ));
    }
    let phc = hash_password(password)
        .ok_or_else(|| Failure::new(Exit::TemporaryFailure, "the password could not be hashed"))?;
    Ok(writeln!(out, "{user}:{phc}")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_becomes_a_line_that_holds_its_hash_only() {
        let mut out = Vec::new();
        line("app", &mut &b"secret word\n"[..], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("app:$argon2id$"), "{text}");
        assert!(!text.contains("secret"));
    }

    #[test]
    fn a_user_that_the_file_cannot_hold_and_no_password_are_refused() {
        let exit = |user, input: &[u8]| line(user, &mut &*input, &mut Vec::new()).unwrap_err().exit;
        assert_eq!(exit("a:b", b"x\n"), Exit::Usage);
        assert_eq!(exit("#a", b"x\n"), Exit::Usage);
        assert_eq!(exit("a", b"\n"), Exit::Data);
    }
}
