//! The `mailwright` program: see [`mailwright::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    mailwright::cli::main()
}
