//! The queue as people read it.

use crate::cli::explain::table;
use crate::cli::table::columns;
use crate::cli::when::readable;
use crate::http::explain::{until, way};
use crate::http::{Action, Done, Listed, QueueEntry};
use crate::policy::Held;
use crate::units::Timestamp;
use std::fmt::{self, Write as _};
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
    columns(&HEADINGS, &rows, out)
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

/// `3 made due; 2 wait on for the time their senders chose`
pub fn done(action: Action, done: &Done) -> String {
    let count = done.count;
    match (action, done.wait_on) {
        (Action::Retry, None | Some(0)) => format!("{count} made due"),
        (Action::Retry, Some(others)) => format!(
            "{count} made due; {others} wait on for the time their senders chose (`queue retry ID` makes one due too)"
        ),
        (Action::Hold, _) => format!("{count} held"),
        (Action::Release, _) => format!("{count} released"),
        (Action::Drop, _) => format!("{count} dropped"),
    }
}

/// Everything about each entry.
pub fn show(entries: &[QueueEntry], now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    for entry in entries {
        let mut said = String::new();
        show_one(entry, &mut said).map_err(io::Error::other)?;
        out.write_all(readable(&said, now).as_bytes())?;
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

fn show_one(entry: &QueueEntry, said: &mut String) -> fmt::Result {
    let optional = |value: &Option<String>| value.clone().unwrap_or_default();
    field("message", &entry.id, said)?;
    field("received", &entry.received.to_string(), said)?;
    field("expires", &entry.expires.to_string(), said)?;
    field("size", &entry.size.to_string(), said)?;
    field("sender", &sender(entry), said)?;
    field("tenant", &optional(&entry.tenant), said)?;
    field("campaign", &optional(&entry.campaign), said)?;
    field("domain", &entry.domain, said)?;
    field("site", &optional(&entry.site), said)?;
    field("source", &optional(&entry.source), said)?;
    field("state", &entry.state, said)?;
    field("waits for", &waits(entry), said)?;
    remedy(entry, said)?;
    for recipient in &entry.recipients {
        let (address, state) = (&recipient.address, &recipient.state);
        let tries = recipient.attempts;
        let line = format!("{address} ({state}, {tries} attempts)");
        field("recipient", &line, said)?;
        let last = optional(&recipient.last);
        if !said.contains(&last) {
            field("", &last, said)?;
        }
        if let Some(told) = &recipient.suppressed {
            field("", &format!("{told}: it ends when its time comes"), said)?;
        }
    }
    verdict(entry, said)?;
    writeln!(said)
}

fn field(name: &str, value: &str, said: &mut String) -> fmt::Result {
    match value {
        "" => Ok(()),
        value => writeln!(said, "{name:<10} {value}"),
    }
}

/// What to do about what it waits for; of a retry that is known without a verdict too.
fn remedy(entry: &QueueEntry, said: &mut String) -> fmt::Result {
    match (&entry.waits, &entry.verdict) {
        (Some(held), Some(verdict)) if verdict.advice_on(held).is_some() => {
            table::advice(verdict, held, "         ", said)
        }
        (Some(Held::Retry { .. }), _) => {
            writeln!(said, "           decided by retry.first, retry.factor")?;
            writeln!(
                said,
                "           ended by   mailwright queue retry {}",
                entry.id
            )
        }
        _ => Ok(()),
    }
}

/// What decides about it beside what holds it, which has been said.
fn verdict(entry: &QueueEntry, said: &mut String) -> fmt::Result {
    let Some(verdict) = &entry.verdict else {
        return Ok(());
    };
    writeln!(said)?;
    let explained = &verdict.explained;
    match (&entry.waits, &explained.waits) {
        (Some(held), next) if Some(held) == next.as_ref() => table::grounds(verdict, said),
        (Some(Held::Sending { .. } | Held::Routing { .. }) | None, _) | (_, Some(_)) => {
            table::verdict(verdict, said)
        }
        // It would not go now, whatever everything else says.
        (Some(_), None) => {
            writeln!(said, "when its time comes it would go {}\n", way(explained))?;
            table::grounds(verdict, said)
        }
    }
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
    match (&entry.waits, entry.until) {
        (Some(why), at) => until(why, at),
        (None, Some(until)) => format!("its time, {until}"),
        // Read from a spool that nobody works on.
        (None, None) if entry.state == "scheduled" => "no attempt yet".to_owned(),
        (None, None) => String::new(),
    }
}
