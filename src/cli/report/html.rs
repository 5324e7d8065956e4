//! The report as a page of its own: no scripts, nothing fetched.

use super::said::{self, REPLY_HEADINGS, STOPPED_HEADINGS};
use super::{HEADINGS, Section, cells, done, seen, sentence};
use crate::http::Report;
use crate::policy::reputation::{Row, Standing};
use std::io::{self, Write};

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Reputation</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem; padding: 0 1rem; color: #1a1a1a; background: #fff }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid #ddd; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
thead th { border-bottom: 2px solid #555; font-weight: 600 }
tr.watch { background: #fff6d6 } tr.act, tr.held { background: #ffe1de }
li { margin: .4rem 0 }
@media (prefers-color-scheme: dark) {
  body { color: #eee; background: #161616 } th, td { border-color: #333 }
  tr.watch { background: #3a3210 } tr.act, tr.held { background: #451a16 }
}
</style>
";

pub fn page(report: &Report, sections: &[Section], out: &mut dyn Write) -> io::Result<()> {
    let (since, at) = (report.since.name(), report.at);
    write!(
        out,
        "{HEAD}<h1>Reputation</h1>\n<p>The last {since} up to {at}.</p>\n"
    )?;
    for section in sections {
        match section {
            Section::Slices => slices(&report.slices, out)?,
            Section::Replies => replies(report, out)?,
            Section::Suppressed => suppressed(report, out)?,
            Section::Outside => outside(report, out)?,
        }
    }
    writeln!(out, "</html>")
}

fn slices(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    let lines = rows.iter().map(|row| (class(row), cells(row)));
    table(&HEADINGS, lines, out)?;
    let mut notes = Vec::new();
    for line in rows {
        for rated in line.rates.iter().filter(|rated| rated.advice.is_some()) {
            let advice = rated.advice.as_deref().unwrap_or_default();
            notes.push(format!("{}: {}: {advice}", line.slice, sentence(rated)));
        }
        notes.extend(done(line));
    }
    list(&notes, out)
}

fn replies(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<h2>What servers said</h2>")?;
    let lines = report.replies.iter();
    table(
        &REPLY_HEADINGS,
        lines.map(|reply| ("", said::reply_cells(reply))),
        out,
    )?;
    let note = |reply: &crate::bounce::replies::ReplyPattern| {
        format!(
            "{} — such as: {} — {}",
            reply.pattern,
            reply.example,
            said::remedy(reply)
        )
    };
    list(&report.replies.iter().map(note).collect::<Vec<_>>(), out)
}

fn suppressed(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let total = said::total(&report.suppressed);
    writeln!(
        out,
        "<h2>What was suppressed</h2>\n<p>{}.</p>",
        escaped(&total)
    )?;
    let lines = report.suppressed.iter();
    table(
        &STOPPED_HEADINGS,
        lines.map(|stopped| ("", said::stopped_cells(stopped))),
        out,
    )
}

fn outside(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<h2>As others see us</h2>")?;
    let lines = report.outside.faults.iter();
    table(
        &seen::HEADINGS,
        lines.map(|fault| ("act", seen::cells(fault))),
        out,
    )?;
    list(&seen::notes(&report.outside), out)
}

fn table<const N: usize>(
    headings: &[&str; N],
    lines: impl Iterator<Item = (&'static str, [String; N])>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let head = row("th", headings.iter().copied());
    writeln!(out, "<table>\n<thead><tr>{head}</tr></thead>\n<tbody>")?;
    for (class, cells) in lines {
        let cells = row("td", cells.iter().map(String::as_str));
        writeln!(out, "<tr class=\"{class}\">{cells}</tr>")?;
    }
    writeln!(out, "</tbody>\n</table>")
}

fn list(notes: &[String], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<ul>")?;
    for note in notes {
        writeln!(out, "<li>{}</li>", escaped(note))?;
    }
    writeln!(out, "</ul>")
}

fn class(row: &Row) -> &'static str {
    let worst = row.rates.iter().map(|rated| rated.standing).max();
    match worst {
        _ if row.hold.is_some() => "held",
        _ if row.slow.is_some() => "watch",
        Some(Standing::Act) => "act",
        Some(Standing::Watch) => "watch",
        _ => "",
    }
}

fn row<'c>(tag: &str, cells: impl Iterator<Item = &'c str>) -> String {
    let cell = |text: &str| format!("<{tag}>{}</{tag}>", escaped(text));
    cells.map(cell).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
