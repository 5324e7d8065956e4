//! What servers said, and what the suppression list stopped, as people read it.

use crate::bounce::replies::ReplyPattern;
use crate::cli::table::columns;
use crate::http::Report;
use crate::policy::reputation::Stopped;
use std::io::{self, Write};

pub const REPLY_HEADINGS: [&str; 7] = [
    "COUNT", "PROVIDER", "CLASS", "SUBJECT", "FIRST", "LAST", "REPLY",
];
pub const STOPPED_HEADINGS: [&str; 6] = [
    "REASON", "SCOPE", "LISTED", "UNLISTED", "REFUSED", "DROPPED",
];

/// Each pattern, then under it an example and what to do.
pub fn replies(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let since = report.since.name();
    if report.replies.is_empty() {
        return writeln!(out, "no server deferred or refused mail within {since}");
    }
    writeln!(out, "what servers said within {since}\n")?;
    let cells: Vec<[String; 7]> = report.replies.iter().map(reply_cells).collect();
    columns(&REPLY_HEADINGS, &cells, out)?;
    writeln!(out)?;
    for reply in &report.replies {
        writeln!(
            out,
            "{}\n  such as: {}\n  {}",
            reply.pattern,
            reply.example,
            remedy(reply)
        )?;
    }
    Ok(())
}

pub fn suppressed(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let since = report.since.name();
    if report.suppressed.is_empty() {
        return writeln!(out, "nothing was suppressed within {since}");
    }
    writeln!(
        out,
        "suppressed within {since}: {}\n",
        total(&report.suppressed)
    )?;
    let cells: Vec<[String; 6]> = report.suppressed.iter().map(stopped_cells).collect();
    columns(&STOPPED_HEADINGS, &cells, out)
}

pub fn reply_cells(reply: &ReplyPattern) -> [String; 7] {
    [
        reply.count.to_string(),
        reply.provider.clone(),
        reply.class.name().to_owned(),
        subject(reply),
        reply.first.to_string(),
        reply.last.to_string(),
        reply.pattern.clone(),
    ]
}

pub fn stopped_cells(stopped: &Stopped) -> [String; 6] {
    let trend = match stopped.listed.cmp(&stopped.listed_before) {
        std::cmp::Ordering::Greater => " ↑",
        std::cmp::Ordering::Less => " ↓",
        std::cmp::Ordering::Equal => "",
    };
    [
        stopped.reason.clone(),
        stopped.scope.clone(),
        format!("{}{trend}", stopped.listed),
        stopped.unlisted.to_string(),
        stopped.refused.to_string(),
        stopped.dropped.to_string(),
    ]
}

/// `recipient`, `source-ip`, …; empty where nobody can say.
pub fn subject(reply: &ReplyPattern) -> String {
    let subject = serde_json::to_value(reply.subject).unwrap_or_default();
    subject.as_str().unwrap_or_default().to_owned()
}

/// What to do, and by which rule.
pub fn remedy(reply: &ReplyPattern) -> String {
    match &reply.rule {
        Some(rule) => format!("{} (rule {rule})", reply.help),
        None => reply.help.clone(),
    }
}

/// `12 addresses listed, 3 taken off; 40 recipients refused at submission, 7 dropped`.
pub fn total(all: &[Stopped]) -> String {
    let sum = |pick: fn(&Stopped) -> u64| all.iter().map(pick).sum::<u64>();
    format!(
        "{} addresses listed, {} taken off; {} recipients refused at submission, {} dropped",
        sum(|s| s.listed),
        sum(|s| s.unlisted),
        sum(|s| s.refused),
        sum(|s| s.dropped)
    )
}
