//! Files of addresses: our own, and those that other services export.
//!
//! Columns and fields are known by their names, whatever their order:
//!
//! | service | file | what it says |
//! |---|---|---|
//! | ours | CSV, JSON lines | `address`, `scope`, `reason`, `until`, `note` |
//! | SES | JSON, CSV | `EmailAddress`, `Reason` (`BOUNCE`, `COMPLAINT`) |
//! | SendGrid | CSV | `email`, `status`, `reason`; a status that does not speak of the address is left out |
//! | Mailgun | CSV, JSON | `address`, `code`, `error`; a code that is not permanent is left out; `tags` of unsubscribes |

use crate::http::Addition;
use crate::policy::suppression::{Reason, Scope};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{self, BufRead};

/// What holds where a line does not say.
#[derive(Debug, Clone)]
pub struct Defaults {
    pub scope: Scope,
    pub reason: Reason,
}

/// An entry, or which line is left out and why.
pub type Line = Result<Addition, String>;

/// Reads a file of whichever kind, line by line; a JSON document as a whole.
///
/// # Errors
/// The file cannot be read.
pub fn read<R: BufRead + 'static>(
    mut input: R,
    defaults: Defaults,
) -> io::Result<Box<dyn Iterator<Item = Line>>> {
    let start = input.fill_buf()?;
    let first = start
        .iter()
        .find(|octet| !octet.is_ascii_whitespace() && !BOM.contains(octet));
    match first {
        Some(b'{' | b'[') => Ok(json(input, defaults)),
        _ => Ok(Box::new(table(input, defaults))),
    }
}

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

fn table<R: BufRead>(input: R, defaults: Defaults) -> impl Iterator<Item = Line> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(input);
    let names: Vec<String> = reader
        .headers()
        .map(|row| row.iter().map(name).collect())
        .unwrap_or_default();
    let headless = (!names.iter().any(|name| is_address(name))).then(|| {
        Err("line 1: no column is called address or email: begin with a row of names".to_owned())
    });
    let is_headless = headless.is_some();
    let lines = reader.into_records().map(move |row| {
        let row = row.map_err(|error| error.to_string())?;
        let number = row.position().map_or(0, csv::Position::line);
        let fields = names.iter().cloned().zip(row.iter().map(str::to_owned));
        entry(&fields.collect(), &defaults).map_err(|why| format!("line {number}: {why}"))
    });
    headless
        .into_iter()
        .chain(lines.take_while(move |_| !is_headless))
}

fn json<R: BufRead + 'static>(input: R, defaults: Defaults) -> Box<dyn Iterator<Item = Line>> {
    let values = serde_json::Deserializer::from_reader(input).into_iter::<Value>();
    let mut number = 0_u64;
    let mut broken = false;
    let lines = values.map_while(move |value| {
        if broken {
            return None;
        }
        broken = value.is_err();
        Some(value)
    });
    Box::new(lines.flat_map(move |value| match value {
        Ok(value) => {
            let objects = objects(value);
            let defaults = &defaults;
            let entries = objects.into_iter().map(|object| {
                number += 1;
                entry(&fields(&object), defaults).map_err(|why| format!("entry {number}: {why}"))
            });
            entries.collect::<Vec<_>>()
        }
        Err(error) => vec![Err(format!("it is no JSON from here on: {error}"))],
    }))
}

/// The entries of a document: itself, the members of a list, or of the list that SES and Mailgun put into an object.
fn objects(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        Value::Object(mut fields) => {
            let lists = ["SuppressedDestinationSummaries", "items"];
            let list = lists.iter().find_map(|name| fields.remove(*name));
            match list {
                Some(Value::Array(list)) => list,
                _ => vec![Value::Object(fields)],
            }
        }
        other => vec![other],
    }
}

fn fields(object: &Value) -> HashMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(list) => Some(
            list.iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(","),
        ),
        _ => None,
    };
    let fields = object.as_object().into_iter().flatten();
    fields
        .filter_map(|(key, value)| Some((name(key), text(value)?)))
        .collect()
}

/// `Email Address`, `EmailAddress`, `email_address` → `emailaddress`.
fn name(text: &str) -> String {
    let letters = text.chars().filter(|c| c.is_ascii_alphanumeric());
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

fn is_address(name: &str) -> bool {
    matches!(name, "address" | "email" | "emailaddress" | "recipient")
}

fn entry(fields: &HashMap<String, String>, defaults: &Defaults) -> Line {
    let get = |name: &str| {
        fields
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    };
    let address = fields
        .iter()
        .find(|(name, _)| is_address(name))
        .map(|(_, text)| text.trim());
    let address = address
        .filter(|text| !text.is_empty())
        .ok_or("there is no address")?;
    let until = get("until").map(|text| {
        serde_json::from_value(text.into())
            .map_err(|_| format!("{text:?} is no instant such as 2027-01-01T00:00:00Z"))
    });
    Ok(Addition {
        address: address
            .parse()
            .map_err(|error| format!("{address:?}: {error}"))?,
        scope: match get("scope") {
            Some(text) => text
                .parse()
                .map_err(|error: crate::policy::suppression::NotAScope| error.to_string())?,
            None => defaults.scope.clone(),
        },
        reason: reason(&get, defaults)?,
        until: until.transpose()?,
        note: get("note")
            .or_else(|| get("error"))
            .or_else(|| get("reason"))
            .unwrap_or_default()
            .to_owned(),
    })
}

fn reason<'f>(
    get: &impl Fn(&str) -> Option<&'f str>,
    defaults: &Defaults,
) -> Result<Reason, String> {
    let said = get("reason")
        .or_else(|| get("suppressionreason"))
        .map(str::to_ascii_lowercase);
    match said.as_deref() {
        Some("bounce") => return Ok(Reason::Hard),
        Some(text) => {
            if let Some(reason) = Reason::named(text) {
                return Ok(reason);
            }
        }
        None => {}
    }
    if let Some(status) = get("status") {
        return match speaks_of_the_address(status) {
            true => Ok(Reason::Hard),
            false => Err(format!(
                "status {status:?} does not say that the address is bad: left out"
            )),
        };
    }
    if let Some(code) = get("code") {
        return match code.starts_with('5') {
            true => Ok(Reason::Hard),
            false => Err(format!("code {code:?} is not permanent: left out")),
        };
    }
    match get("tags") {
        Some(_) => Ok(Reason::Unsubscribe),
        None => Ok(defaults.reason),
    }
}

/// RFC 3463: 5.1.x but for the sender's address, and a mailbox that is disabled.
fn speaks_of_the_address(status: &str) -> bool {
    (status.starts_with("5.1.") && !matches!(status, "5.1.7" | "5.1.8")) || status == "5.2.1"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &'static str) -> Vec<Result<String, String>> {
        let defaults = Defaults {
            scope: Scope::Global,
            reason: Reason::Manual,
        };
        let lines = read(text.as_bytes(), defaults).unwrap();
        let told = |new: Addition| format!("{} {} {}", new.address, new.scope, new.reason.name());
        lines.map(|line| line.map(told)).collect()
    }

    fn good(text: &'static str) -> Vec<String> {
        lines(text).into_iter().map(|line| line.unwrap()).collect()
    }

    #[test]
    fn our_own_files() {
        let csv = "address,scope,reason,since,until,note\n\
            ann@x.example,global,hard,2026-01-01T00:00:00Z,,\"550, no\"\n\
            bob@x.example,list/acme/news,unsubscribe,,2027-01-01T00:00:00Z,\n";
        let expected = [
            "ann@x.example global hard",
            "bob@x.example list/acme/news unsubscribe",
        ];
        assert_eq!(good(csv), expected);
        let json = "{\"address\":\"ann@x.example\",\"scope\":\"global\",\"reason\":\"hard\",\"by\":\"reply\"}\n\
            {\"address\":\"bob@x.example\",\"scope\":\"list/acme/news\",\"reason\":\"unsubscribe\"}\n";
        assert_eq!(good(json), expected);
    }

    #[test]
    fn files_of_ses() {
        let json = r#"{"SuppressedDestinationSummaries": [
            {"EmailAddress": "ann@x.example", "Reason": "BOUNCE", "LastUpdateTime": 1700000000},
            {"EmailAddress": "bob@x.example", "Reason": "COMPLAINT"}]}"#;
        let expected = [
            "ann@x.example global hard",
            "bob@x.example global complaint",
        ];
        assert_eq!(good(json), expected);
        let csv = "\u{feff}Email address,Suppression reason\nann@x.example,BOUNCE\nbob@x.example,COMPLAINT\n";
        assert_eq!(good(csv), expected);
    }

    #[test]
    fn files_of_sendgrid_and_mailgun() {
        let bounces = "status,reason,email,created\n\
            5.1.1,550 no such user,ann@x.example,1700000000\n\
            5.7.1,550 spam,bob@x.example,1700000000\n";
        let read = lines(bounces);
        assert_eq!(read[0], Ok("ann@x.example global hard".to_owned()));
        assert!(
            read[1]
                .as_ref()
                .unwrap_err()
                .starts_with("line 3: status \"5.7.1\""),
            "{read:?}"
        );
        let unsubscribed = "address,tags,created_at\nann@x.example,*,Mon\n";
        assert_eq!(good(unsubscribed), ["ann@x.example global unsubscribe"]);
        let items = r#"{"items":[{"address":"ann@x.example","code":"550","error":"no"},{"address":"b@x.example","code":"421"}]}"#;
        let read = lines(items);
        assert_eq!(read[0], Ok("ann@x.example global hard".to_owned()));
        assert!(read[1].as_ref().unwrap_err().contains("not permanent"));
    }

    #[test]
    fn bad_lines_are_told_and_the_others_taken() {
        let csv = "email\nnobody\nann@x.example\n\n\"\"\nbob@x.example\n";
        let read = lines(csv);
        assert!(
            read[0]
                .as_ref()
                .unwrap_err()
                .starts_with("line 2: \"nobody\"")
        );
        let fine = read.iter().filter(|line| line.is_ok()).count();
        assert_eq!(fine, 2);
        assert!(
            lines("ann@x.example\nbob@x.example\n")[0]
                .as_ref()
                .unwrap_err()
                .contains("row of names")
        );
        assert!(lines("{\"address\": \"ann@x.exa").last().unwrap().is_err());
    }
}
