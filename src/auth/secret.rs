//! Secrets that the configuration names and does not hold.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where a secret is.
pub enum Source {
    File(PathBuf),
    Variable(String),
    Neither,
}

impl Source {
    pub fn of(reference: &str, base: &Path) -> Self {
        match reference.split_once(':') {
            Some(("file", path)) => Self::File(base.join(path)),
            Some(("env", name)) => Self::Variable(name.to_owned()),
            _ => Self::Neither,
        }
    }

    /// The secret without white space around it; what is wrong and what to do about it, where there is none.
    pub fn read(&self) -> Result<Vec<u8>, (String, String)> {
        let secret = match self {
            Self::File(path) => read_file(path)?,
            Self::Variable(name) => std::env::var(name).map(String::into_bytes).map_err(|_| {
                let why = format!("the environment has no readable variable {name:?}");
                (why, "set it, or correct the reference".to_owned())
            })?,
            Self::Neither => {
                let why = "neither \"file:PATH\" nor \"env:NAME\"".to_owned();
                return Err((why, "write one of them".to_owned()));
            }
        };
        Ok(secret.trim_ascii().to_vec())
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, (String, String)> {
    let shown = path.display();
    let unread = |error: io::Error| {
        let remedy = match error.kind() {
            ErrorKind::NotFound => "name a file that is there, or leave the key out",
            _ => "make it readable for the daemon's user",
        };
        (
            format!("{shown} cannot be read: {error}"),
            remedy.to_owned(),
        )
    };
    // The file that was checked is the file that is read.
    let mut file = File::open(path).map_err(unread)?;
    let mode = file.metadata().map_err(unread)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let why = format!("{shown} can be read by others (mode {mode:04o})");
        return Err((why, format!("chmod 600 {shown}")));
    }
    let mut secret = Vec::new();
    file.read_to_end(&mut secret).map_err(unread)?;
    Ok(secret)
}
