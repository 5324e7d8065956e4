//! The secrets of tokens: named by the configuration, or made by the node for itself.

use super::secret::Source;
use crate::bounce::return_path::ReturnPath;
use crate::bounce::token::{Keys, KeysError, LEAST_SECRET};
use crate::problem::Problems;
use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Makes the node's own key where none is configured and none is there yet, readable by its owner alone.
///
/// # Errors
/// The directory or the file cannot be written.
pub fn provide(config: &ReturnPath, data_dir: &Path) -> io::Result<()> {
    let path = own(data_dir);
    if !config.keys.is_empty() || path.exists() {
        return Ok(());
    }
    let dir = path.parent().unwrap_or(data_dir);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    // A crash leaves a whole key or none: half a one would be refused at the next start.
    let new = path.with_extension("key.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(format!("{}\n", BASE64.encode(fresh()?)).as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(dir)?.sync_all()
}

/// Reads the keys; relative paths start at `base`. Where none is configured and none was made yet, they are some that
/// nobody keeps: a configuration can be checked without leaving anything behind.
///
/// # Errors
/// Every key that cannot be read, is too short, or can be read by others.
pub fn load(config: &ReturnPath, data_dir: &Path, base: &Path) -> Result<Keys, Problems> {
    let own = own(data_dir);
    let named = config.keys.iter().enumerate();
    let mut sources: Vec<(String, Source)> = named
        .map(|(i, text)| (format!("return_path.keys[{i}]"), Source::of(text, base)))
        .collect();
    if sources.is_empty() && own.exists() {
        sources.push(("return_path.keys".into(), Source::File(own)));
    }
    let (mut problems, mut secrets) = (Problems::default(), Vec::new());
    for (at, source) in &sources {
        match source.read() {
            Ok(secret) => secrets.push(secret),
            Err((why, remedy)) => problems.add(at, why, remedy),
        }
    }
    if sources.is_empty() {
        match fresh() {
            Ok(secret) => secrets.push(secret.to_vec()),
            Err(error) => problems.add("return_path.keys", error.to_string(), "see to it"),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Keys::new(&secrets, config.valid_for.0).map_err(|error| {
        let key = match (error, sources.as_slice()) {
            (KeysError::Short(at, _), all) => all.get(at).map(|(key, _)| key.as_str()),
            (KeysError::None, _) => None,
        };
        let remedy = format!(
            "make one of {LEAST_SECRET} octets or more, such as with \"openssl rand -base64 32\""
        );
        problems.add(key.unwrap_or("return_path.keys"), error.to_string(), remedy);
        problems
    })
}

fn own(data_dir: &Path) -> PathBuf {
    data_dir.join("keys").join("token.key")
}

fn fresh() -> io::Result<[u8; LEAST_SECRET]> {
    let mut secret = [0; LEAST_SECRET];
    rand::fill(&mut secret).map_err(|_| io::Error::other("the system gives no random octets"))?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounce::token::{Purpose, Token};
    use crate::mail::MessageId;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    fn with(keys: &[&str]) -> ReturnPath {
        ReturnPath {
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            ..ReturnPath::default()
        }
    }

    fn write(dir: &TempDir, name: &str, secret: &str, mode: u32) {
        let path = dir.path().join(name);
        fs::write(&path, secret).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }

    fn sealed(keys: &Keys) -> String {
        keys.seal(&Token::new(MessageId(1), Some(0), None), Purpose::Return)
    }

    #[test]
    fn a_node_without_a_key_makes_one_for_its_owner_alone_and_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let load = || sealed(&load(&with(&[]), dir.path(), Path::new("")).unwrap());
        assert_ne!(load(), load(), "checking makes no key");
        assert!(!own(dir.path()).exists());
        provide(&with(&[]), dir.path()).unwrap();
        let mode = fs::metadata(own(dir.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let token = load();
        provide(&with(&[]), dir.path()).unwrap();
        assert_eq!(load(), token);
    }

    #[test]
    fn configured_keys_are_read_in_order_and_none_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = ("o".repeat(32), "n".repeat(40));
        write(&dir, "old", &old, 0o600);
        write(&dir, "new", &format!("{new}\n"), 0o400);
        let config = with(&["file:new", "file:old"]);
        provide(&config, dir.path()).unwrap();
        assert!(!own(dir.path()).exists());
        let keys = load(&config, dir.path(), dir.path()).unwrap();
        let expected = Keys::new(&[new, old], config.valid_for.0).unwrap();
        assert_eq!(sealed(&keys), sealed(&expected));
        let before = load(&with(&["file:old"]), dir.path(), dir.path()).unwrap();
        let accepted = MessageId(1).accepted();
        let opened = keys.open(&sealed(&before), Purpose::Return, accepted);
        assert!(opened.is_ok());
    }

    #[test]
    fn every_key_that_is_none_is_told_and_no_secret_with_it() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir, "open", &"s3cret".repeat(10), 0o640);
        write(&dir, "short", "s3cret", 0o600);
        let config = with(&[
            "file:open",
            "file:absent",
            "env:MAILWRIGHT_NO_SUCH",
            "s3cret",
        ]);
        let problems = load(&config, dir.path(), dir.path()).unwrap_err();
        let keys: Vec<&str> = problems.0.iter().map(|p| p.key.as_str()).collect();
        let expected = (0..4).map(|i| format!("return_path.keys[{i}]"));
        assert_eq!(keys, expected.collect::<Vec<_>>());
        assert!(problems.0[0].remedy.starts_with("chmod 600"));
        assert!(!format!("{problems:?}").contains("s3cret"));

        write(&dir, "long", &"x".repeat(32), 0o600);
        let config = with(&["file:long", "file:short"]);
        let problems = load(&config, dir.path(), dir.path()).unwrap_err();
        assert_eq!(problems.0[0].key, "return_path.keys[1]");
        assert!(problems.0[0].remedy.contains("openssl rand"));
    }
}
