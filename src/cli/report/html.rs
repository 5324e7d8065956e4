//! The report as a page of its own: no scripts, nothing fetched.

use super::{HEADINGS, cells, sentence};
use crate::policy::reputation::{Row, Standing};
use crate::units::Timestamp;
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

pub fn page(rows: &[Row], since: &str, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "{HEAD}<h1>Reputation</h1>\n<p>The last {} up to {now}.</p>\n",
        escaped(since)
    )?;
    writeln!(
        out,
        "<table>\n<thead><tr>{}</tr></thead>\n<tbody>",
        row("th", HEADINGS.iter().copied())
    )?;
    for line in rows {
        let cells = cells(line);
        let class = class(line);
        let cells = row("td", cells.iter().map(String::as_str));
        writeln!(out, "<tr class=\"{class}\">{cells}</tr>")?;
    }
    writeln!(out, "</tbody>\n</table>\n<ul>")?;
    for line in rows {
        for rated in line.rates.iter().filter(|rated| rated.advice.is_some()) {
            let advice = rated.advice.as_deref().unwrap_or_default();
            let text = format!("{}: {}: {advice}", line.slice, sentence(rated));
            writeln!(out, "<li>{}</li>", escaped(&text))?;
        }
        if let Some(hold) = &line.hold {
            let text = format!(
                "{} is held until {}: {}",
                hold.slice, hold.until, hold.finding
            );
            writeln!(out, "<li>{}</li>", escaped(&text))?;
        }
    }
    writeln!(out, "</ul>\n</html>")
}

fn class(row: &Row) -> &'static str {
    let worst = row.rates.iter().map(|rated| rated.standing).max();
    match worst {
        _ if row.hold.is_some() => "held",
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
