//! What reports are packed in: gzip (RFC 1952) and zip. What comes out is bounded before it is unpacked.

use super::Unreadable;
use flate2::bufread::GzDecoder;
use std::io::{Cursor, Read};
use zip::ZipArchive;

/// Octets of an archive.
const LARGEST_PACKED: usize = 10 << 20;

/// Octets that may still come out of the archives of one report, together.
pub struct Budget(u64);

impl Budget {
    pub fn new(octets: u64) -> Self {
        Self(octets)
    }

    /// Unpacks all members of a gzip file, which together are one text. What follows them is not looked at.
    ///
    /// # Errors
    /// It is cut off, damaged, or there is more in it than may be.
    pub fn gunzip(&mut self, octets: &[u8]) -> Result<Vec<u8>, Unreadable> {
        check_packed(octets)?;
        let (mut rest, mut text) = (octets, Vec::new());
        while text.is_empty() || rest.starts_with(GZIP) {
            let mut member = GzDecoder::new(rest);
            self.drain(&mut member, &mut text, "the gzip file")?;
            rest = member.into_inner();
            if rest.is_empty() {
                break;
            }
        }
        Ok(text)
    }

    /// Unpacks the one member of a zip file that a report is in; others are not looked at.
    ///
    /// # Errors
    /// It is cut off, damaged, encrypted, empty, or there is more in it than may be.
    pub fn unzip(&mut self, octets: &[u8]) -> Result<Vec<u8>, Unreadable> {
        check_packed(octets)?;
        let damaged = |error: zip::result::ZipError| {
            Unreadable::new(format!("the zip file is damaged: {error}"))
        };
        let mut archive = ZipArchive::new(Cursor::new(octets)).map_err(damaged)?;
        let name = likely(archive.file_names())
            .map(str::to_owned)
            .ok_or_else(|| Unreadable::new("the zip file has nothing in it"))?;
        let mut member = archive.by_name(&name).map_err(damaged)?;
        let mut text = Vec::new();
        self.drain(&mut member, &mut text, "the zip file")?;
        Ok(text)
    }

    fn drain(
        &mut self,
        packed: &mut dyn Read,
        text: &mut Vec<u8>,
        what: &str,
    ) -> Result<(), Unreadable> {
        let before = text.len();
        let read = packed.take(self.0.saturating_add(1)).read_to_end(text);
        read.map_err(|error| Unreadable::new(format!("{what} is damaged or cut off: {error}")))?;
        let unpacked = text.len().saturating_sub(before) as u64;
        match self.0.checked_sub(unpacked) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => Err(Unreadable::new(format!(
                "{what} has more in it than a report may have"
            ))),
        }
    }
}

/// How archives begin.
pub const GZIP: &[u8] = b"\x1f\x8b";
pub const ZIP: &[u8] = b"PK\x03\x04";

fn check_packed(octets: &[u8]) -> Result<(), Unreadable> {
    match octets.len() > LARGEST_PACKED {
        true => Err(Unreadable::new(format!(
            "the archive has {} octets; {LARGEST_PACKED} are read at most",
            octets.len()
        ))),
        false => Ok(()),
    }
}

/// The first file whose name says that it is a report, else the first.
fn likely<'n>(names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut first = None;
    for name in names.filter(|name| is_file(name)) {
        let lower = name.to_ascii_lowercase();
        if [".xml", ".json", ".gz"]
            .iter()
            .any(|end| lower.ends_with(end))
        {
            return Some(name);
        }
        first = first.or(Some(name));
    }
    first
}

/// No directory, and not what macOS adds.
fn is_file(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or_default();
    !last.is_empty() && !last.starts_with("._") && !name.starts_with("__MACOSX/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;
    use zip::write::{SimpleFileOptions, ZipWriter};

    const MIB: usize = 1 << 20;

    fn gz(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in files {
            writer
                .start_file(*name, SimpleFileOptions::default())
                .unwrap();
            writer.write_all(text).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn budget() -> Budget {
        Budget::new(MIB as u64)
    }

    #[test]
    fn members_of_a_gzip_file_are_one_text_and_what_follows_is_left() {
        let mut octets = gz(b"one ");
        octets.extend(gz(b"two"));
        octets.extend(b"\0\0\0");
        assert_eq!(budget().gunzip(&octets).unwrap(), b"one two");
        assert_eq!(budget().gunzip(&gz(b"")).unwrap(), b"");
    }

    #[test]
    fn the_report_is_found_among_the_members_of_a_zip_file() {
        let files: &[(&str, &[u8])] = &[
            ("__MACOSX/._r.xml", b"x"),
            ("readme", b"y"),
            ("a/r.XML", b"<z/>"),
        ];
        assert_eq!(budget().unzip(&zipped(files)).unwrap(), b"<z/>");
        assert_eq!(budget().unzip(&zipped(&files[1..2])).unwrap(), b"y");
        assert!(budget().unzip(&zipped(&files[..1])).is_err());
    }

    #[test]
    fn bombs_go_off_at_the_bound() {
        let bomb = vec![b' '; 40 * MIB];
        for packed in [
            budget().gunzip(&gz(&bomb)),
            budget().unzip(&zipped(&[("r.xml", &bomb)])),
        ] {
            let refused = packed.unwrap_err().to_string();
            assert!(refused.contains("more in it"), "{refused}");
        }
        // Members and nested archives share what there is.
        let mut shared = budget();
        assert!(shared.gunzip(&gz(&bomb[..MIB])).is_ok());
        assert!(shared.gunzip(&gz(b"x")).is_err());
        let many = gz(&bomb[..MIB / 2]).repeat(3);
        assert!(budget().gunzip(&many).is_err());
        assert!(budget().gunzip(&vec![0x1f; LARGEST_PACKED + 1]).is_err());
    }

    #[test]
    fn what_is_cut_off_or_damaged_is_refused() {
        let (gz, zip) = (
            gz(b"a text that is long enough to be cut"),
            zipped(&[("r.xml", b"some text")]),
        );
        for end in 0..gz.len() {
            assert!(budget().gunzip(&gz[..end]).is_err(), "{end}");
        }
        for end in 0..zip.len() {
            assert!(budget().unzip(&zip[..end]).is_err(), "{end}");
        }
    }
}
