//! The queue as people read it.

use crate::cli::explain::table::verdict;
use crate::cli::table::columns;
use crate::cli::when::readable;
use crate::http::{Listed, QueueEntry};
use crate::policy::Held;
use crate::units::Timestamp;
use std::io::{self, Write};

const HEADINGS: [&str; 8] = [
    "ID",
    "RECEIVED",
    "SIZE",
    "STATE",
    "TRIES",
    "SENDER",
    "RECIPIENTS",
    "WAITS FOR",
];

/// One line an entry, in columns.
pub fn list(entries: &[QueueEntry], now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let readable = |cell: String| readable(&cell, now);
    let rows = entries.iter().map(|entry| row(entry).map(readable));
    let rows: Vec<[String; 8]> = rows.collect();
    columns(HEADINGS, &rows, out)
}

/// What to say of the entries that are not shown, and where there are none at all. `chosen`: not all were asked for.
pub fn rest(listed: &Listed, chosen: bool) -> Option<String> {
    let shown = listed.entries.len();
    match (shown, listed.more, listed.total) {
        (0, false, _) if chosen => Some("nothing that waits fits".to_owned()),
        (0, false, _) => Some("nothing waits".to_owned()),
        (_, false, _) => None,
        (_, true, Some(total)) => Some(format!("{shown} of {total} shown; --limit N shows more")),
        (_, true, None) => Some(format!("the first {shown} shown; --limit N shows more")),
    }
}

/// Everything about each entry.
pub fn show(entries: &[QueueEntry], now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    for entry in entries {
        let mut text = Vec::new();
        show_one(entry, &mut text)?;
        let text = String::from_utf8_lossy(&text);
        out.write_all(readable(&text, now).as_bytes())?;
    }
    Ok(())
}

fn row(entry: &QueueEntry) -> [String; 8] {
    let tries = entry.recipients.iter().map(|r| r.attempts).max();
    [
        entry.id.clone(),
        entry.received.to_string(),
        entry.size.to_string(),
        entry.state.clone(),
        tries.unwrap_or_default().to_string(),
        sender(entry),
        recipients(entry),
        waits(entry),
    ]
}

fn show_one(entry: &QueueEntry, out: &mut dyn Write) -> io::Result<()> {
    let mut field = |name: &str, value: &str| match value {
        "" => Ok(()),
        value => writeln!(out, "{name:<10} {value}"),
    };
    let optional = |value: &Option<String>| value.clone().unwrap_or_default();
    field("message", &entry.id)?;
    field("received", &entry.received.to_string())?;
    field("expires", &entry.expires.to_string())?;
    field("size", &entry.size.to_string())?;
    field("sender", &sender(entry))?;
    field("tenant", &optional(&entry.tenant))?;
    field("campaign", &optional(&entry.campaign))?;
    field("domain", &entry.domain)?;
    field("site", &optional(&entry.site))?;
    field("source", &optional(&entry.source))?;
    field("state", &entry.state)?;
    field("waits for", &waits(entry))?;
    for recipient in &entry.recipients {
        let (address, state) = (&recipient.address, &recipient.state);
        let tries = recipient.attempts;
        field(
            "recipient",
            &format!("{address} ({state}, {tries} attempts)"),
        )?;
        field("", &optional(&recipient.last))?;
    }
    if let Some(of_entry) = &entry.verdict {
        writeln!(out)?;
        verdict(of_entry, out)?;
    }
    writeln!(out)
}

fn sender(entry: &QueueEntry) -> String {
    match entry.sender.is_empty() {
        true => "<>".to_owned(),
        false => entry.sender.clone(),
    }
}

/// The first recipient, and how many more.
fn recipients(entry: &QueueEntry) -> String {
    match entry.recipients.as_slice() {
        [] => entry.domain.clone(),
        [only] => only.address.clone(),
        [first, more @ ..] => format!("{} +{}", first.address, more.len()),
    }
}

fn waits(entry: &QueueEntry) -> String {
    let why = entry.waits.as_ref().map(Held::to_string);
    match (why, entry.until) {
        (Some(why), Some(until)) => format!("{why}, until {until}"),
        (Some(why), None) => why,
        (None, Some(until)) => format!("its time, {until}"),
        // Read from a spool that nobody works on.
        (None, None) if entry.state == "scheduled" => "no attempt yet".to_owned(),
        (None, None) => String::new(),
    }
}
