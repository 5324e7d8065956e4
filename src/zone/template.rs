//! The templates of records: readable files, built in, each of which a directory may have another one for.

use super::record::{Data, Record};
use crate::problem::Problems;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a template is for. In the order in which the records are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Dkim,
    Spf,
    Source,
    Ptr,
    DmarcNone,
    DmarcQuarantine,
    DmarcReject,
    DmarcReports,
    Host,
    Returns,
    TlsRpt,
    MtaSts,
    /// The policy file behind [`Kind::MtaSts`].
    Policy,
    Bimi,
}

impl Kind {
    /// As JSON names it: the name of its file without the ending.
    pub fn name(self) -> &'static str {
        let shipped = SHIPPED.iter().find(|shipped| shipped.kind == self);
        let file = shipped.map_or("", |shipped| shipped.file);
        file.split('.').next().unwrap_or_default()
    }
}

struct Shipped {
    kind: Kind,
    file: &'static str,
    text: &'static str,
    /// Beside `ttl`.
    placeholders: &'static [&'static str],
}

macro_rules! shipped {
    ($($kind:ident $file:literal $placeholders:expr;)*) => {
        &[$(Shipped {
            kind: Kind::$kind,
            file: $file,
            text: include_str!(concat!("../../dns-templates/", $file)),
            placeholders: &$placeholders,
        }),*]
    };
}

const SHIPPED: &[Shipped] = shipped! {
    Dkim "dkim.zone" ["domain", "selector", "key"];
    Spf "spf.zone" ["domain", "mechanisms"];
    Source "source.zone" ["ehlo", "address", "type", "mechanism"];
    Ptr "ptr.zone" ["reverse", "ehlo"];
    DmarcNone "dmarc-none.zone" ["domain", "rua"];
    DmarcQuarantine "dmarc-quarantine.zone" ["domain", "rua"];
    DmarcReject "dmarc-reject.zone" ["domain", "rua"];
    DmarcReports "dmarc-reports.zone" ["domain", "reports"];
    Host "host.zone" ["host", "address", "type"];
    Returns "returns.zone" ["domain", "host"];
    TlsRpt "tls-rpt.zone" ["domain", "rua"];
    MtaSts "mta-sts.zone" ["domain", "host", "id", "mode"];
    Policy "mta-sts.txt" ["domain", "host", "id", "mode"];
    Bimi "bimi.zone" ["domain", "logo", "certificate"];
};

/// All templates, read and checked.
#[derive(Debug, Clone)]
pub struct Templates(BTreeMap<Kind, Template>);

#[derive(Debug, Clone, Default)]
struct Template {
    /// Where it was read from, for what is said about it.
    origin: PathBuf,
    comment: Vec<String>,
    /// With their numbers in the file, counted from 1.
    lines: Vec<(usize, String)>,
}

/// What placeholders stand for.
pub type Values<'a> = &'a [(&'a str, &'a str)];

/// A template does not make records. Says file, line, what is wrong and what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// A template is a page at most.
const LARGEST: u64 = 64 << 10;

impl Templates {
    /// Those built in, and in place of each the file of its name in `dir` where there is one.
    ///
    /// # Errors
    /// Everything that is wrong with the files in `dir`; keys are those of `[zone]`.
    pub fn load(dir: Option<&Path>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut templates = BTreeMap::new();
        for shipped in SHIPPED {
            match shipped.template(dir) {
                Ok(template) => drop(templates.insert(shipped.kind, template)),
                Err((why, remedy)) => problems.add("zone.templates", why, remedy),
            }
        }
        match problems.is_empty() {
            true => Ok(Self(templates)),
            false => Err(problems),
        }
    }

    /// The comment lines of a template, without their semicolons.
    pub fn comment(&self, kind: Kind) -> &[String] {
        self.0.get(&kind).map_or(&[], |template| &template.comment)
    }

    /// The records that a template makes with these values.
    ///
    /// # Errors
    /// A line is none of a zone file any more.
    pub fn records(&self, kind: Kind, values: Values<'_>) -> Result<Vec<Record>, TemplateError> {
        let Some(template) = self.0.get(&kind) else {
            return Ok(Vec::new());
        };
        let lines = template.lines.iter();
        lines
            .map(|(number, line)| {
                parse(line, values).map_err(|why| {
                    TemplateError(format!("{}:{number}: {why}", template.origin.display()))
                })
            })
            .collect()
    }

    /// The text that a template makes, its lines ended as RFC 8461 §3.2 has them.
    pub fn text(&self, kind: Kind, values: Values<'_>) -> String {
        let lines = self
            .0
            .get(&kind)
            .map_or(&[][..], |template| &template.lines);
        let fill_line = |(_, line): &(usize, String)| format!("{}\r\n", fill(line, values));
        lines.iter().map(fill_line).collect()
    }
}

impl Shipped {
    fn template(&self, dir: Option<&Path>) -> Result<Template, (String, String)> {
        let own = dir.map(|dir| dir.join(self.file));
        let found = own.as_deref().map(read).transpose().map_err(|error| {
            let why = format!("{}: {error}", own.clone().unwrap_or_default().display());
            (
                why,
                "make it a readable text file, or take it away".to_owned(),
            )
        })?;
        let (origin, text) = match (own, found.flatten()) {
            (Some(path), Some(text)) => (path, text),
            _ => (
                Path::new("dns-templates").join(self.file),
                self.text.to_owned(),
            ),
        };
        let template = Template::of(origin, &text);
        for (number, line) in &template.lines {
            if let Some(unknown) = placeholders(line).find(|name| !self.knows(name)) {
                let why = format!(
                    "{}:{number}: there is nothing to fill in for {{{unknown}}}",
                    template.origin.display()
                );
                let known = self.placeholders.join("}, {");
                return Err((why, format!("write one of {{ttl}}, {{{known}}}")));
            }
        }
        Ok(template)
    }

    fn knows(&self, name: &str) -> bool {
        name == "ttl" || self.placeholders.contains(&name)
    }
}

impl Template {
    fn of(origin: PathBuf, text: &str) -> Self {
        let mut template = Self {
            origin,
            ..Self::default()
        };
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            match line.strip_prefix(';') {
                Some(comment) => template.comment.push(comment.trim().to_owned()),
                None if line.is_empty() => {}
                None => template.lines.push((at + 1, line.to_owned())),
            }
        }
        template
    }
}

/// The text of a file, `None` where there is none.
fn read(path: &Path) -> std::io::Result<Option<String>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(metadata) if metadata.len() > LARGEST => {
            Err(std::io::Error::other("is too long for a template"))
        }
        Ok(_) => fs::read_to_string(path).map(Some),
    }
}

/// The names in braces.
fn placeholders(line: &str) -> impl Iterator<Item = &str> {
    let pieces = line.split('{').skip(1);
    pieces.filter_map(|piece| Some(piece.split_once('}')?.0))
}

/// Puts the values in; a name without a value stays as it is.
fn fill(text: &str, values: Values<'_>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}') {
            Some((name, behind)) => {
                match values.iter().find(|(known, _)| *known == name) {
                    Some((_, value)) => filled.push_str(value),
                    None => filled.push_str(&format!("{{{name}}}")),
                }
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

/// One line of a template. It is cut into fields before they are filled, so that no value can add a field.
fn parse(line: &str, values: Values<'_>) -> Result<Record, String> {
    let form = "a line is NAME TTL IN TYPE DATA";
    let mut rest = line;
    let mut field = || {
        let (field, behind) = rest.split_once(char::is_whitespace).ok_or(form)?;
        rest = behind.trim_start();
        Ok::<_, String>(fill(field, values))
    };
    let (name, ttl, class, kind) = (field()?, field()?, field()?, field()?);
    if !class.eq_ignore_ascii_case("IN") {
        return Err(format!("\"{class}\" is no class; {form}"));
    }
    let ttl = ttl
        .parse()
        .map_err(|_| format!("\"{ttl}\" is no time to live in seconds; {form}"))?;
    Ok(Record {
        name: host(&name)?,
        ttl: Some(ttl),
        data: data(&kind, rest, values)?,
    })
}

fn data(kind: &str, text: &str, values: Values<'_>) -> Result<Data, String> {
    let filled = fill(text, values);
    let address = |what| format!("\"{filled}\" is no {what} address");
    Ok(match kind.to_ascii_uppercase().as_str() {
        "A" => Data::A(filled.parse().map_err(|_| address("IPv4"))?),
        "AAAA" => Data::Aaaa(filled.parse().map_err(|_| address("IPv6"))?),
        "PTR" => Data::Ptr(host(&filled)?),
        "CNAME" => Data::Cname(host(&filled)?),
        "MX" => {
            let (preference, to) = filled.split_once(' ').unwrap_or_default();
            let preference = preference
                .parse()
                .map_err(|_| format!("\"{filled}\" is not PREFERENCE HOST"))?;
            Data::Mx(preference, host(to.trim())?)
        }
        "TXT" => {
            let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
            let inner = inner.ok_or("a text stands in one pair of quotes")?;
            Data::Txt(single_spaced(&fill(inner, values)))
        }
        other => return Err(format!("records of type \"{other}\" are not written")),
    })
}

/// A placeholder may be filled with nothing.
fn single_spaced(text: &str) -> String {
    text.split(' ')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A whole name, which ends in a dot; given without it, in lower case.
fn host(name: &str) -> Result<String, String> {
    let whole = name.strip_suffix('.').filter(|bare| {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_*".contains(&b))
        };
        bare.len() <= 253 && bare.split('.').all(label)
    });
    whole
        .map(str::to_ascii_lowercase)
        .ok_or_else(|| format!("\"{name}\" is no whole name; it ends in a dot"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(file: &str, text: &str) -> Result<Templates, Problems> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(file), text).unwrap();
        Templates::load(Some(dir.path()))
    }

    #[test]
    fn those_built_in_say_why_and_when_and_know_their_placeholders() {
        let templates = Templates::load(None).unwrap();
        for shipped in SHIPPED {
            let comment = templates.comment(shipped.kind).join(" ");
            let says = |word| comment.to_lowercase().contains(word);
            assert!(says("why") && says("move on"), "{}", shipped.file);
            assert!(!templates.0[&shipped.kind].lines.is_empty());
            assert!(include_str!("../../dns-templates/README.md").contains(shipped.file));
        }
    }

    #[test]
    fn a_file_in_the_directory_takes_the_place_of_the_one_built_in() {
        let own = written("ptr.zone", "; ours\n{reverse}. 60 IN PTR x.{ehlo}.\n").unwrap();
        let values = [("reverse", "1.in-addr.arpa"), ("ehlo", "a.test")];
        let records = own.records(Kind::Ptr, &values).unwrap();
        assert_eq!(
            records[0].to_string(),
            "1.in-addr.arpa. 60 IN PTR x.a.test."
        );
        assert_eq!(own.comment(Kind::Ptr), ["ours"]);
    }

    #[test]
    fn what_cannot_be_filled_is_told_with_its_line() {
        let problems = written("ptr.zone", "\n{revers}. 60 IN PTR {ehlo}.\n").unwrap_err();
        assert!(problems.0[0].message.contains("ptr.zone:2"), "{problems:?}");
        assert!(problems.0[0].message.contains("{revers}"));
        assert!(problems.0[0].remedy.contains("{reverse}"));
    }

    #[test]
    fn a_line_that_is_none_of_a_zone_file_is_told_with_its_place() {
        for (line, word) in [
            ("{reverse} 60 IN PTR {ehlo}.", "ends in a dot"),
            ("{reverse}. 60 PTR {ehlo}.", "NAME TTL IN TYPE DATA"),
            ("{reverse}. x IN PTR {ehlo}.", "time to live"),
            ("{reverse}. 60 IN TXT open", "quotes"),
            ("{reverse}. 60 IN A {ehlo}", "IPv4"),
            ("{reverse}. 60 IN SRV {ehlo}", "SRV"),
        ] {
            let own = written("ptr.zone", line).unwrap();
            let values = [("reverse", "1.in-addr.arpa"), ("ehlo", "a.test")];
            let error = own.records(Kind::Ptr, &values).unwrap_err().to_string();
            assert!(error.contains("ptr.zone:1"), "{error}");
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_value_cannot_add_a_field_or_a_line() {
        let own = written("ptr.zone", "{reverse}. 60 IN PTR {ehlo}.").unwrap();
        for evil in ["a.test. 60 IN TXT", "a.test\nb.test", "\"", "a test"] {
            let values = [("reverse", evil), ("ehlo", "a.test")];
            assert!(own.records(Kind::Ptr, &values).is_err(), "{evil:?}");
        }
    }
}
