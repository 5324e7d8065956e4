//! A verdict as people read it.

use crate::http::explain::until;
use crate::http::{Verdict, Window};
use crate::policy::Held;
use crate::policy::explain::{Candidate, LineView};
use crate::policy::limits::{Fill, Kind};
use crate::policy::warmup::{Condition, Position, Stage};
use std::io::{self, Write};

type Out<'o> = &'o mut dyn Write;

/// The sentence first, then what it rests on, each with the key of the configuration that decides about it.
pub fn verdict(verdict: &Verdict, out: Out<'_>) -> io::Result<()> {
    writeln!(out, "{}", verdict.summary)?;
    if let Some(held) = &verdict.explained.waits {
        advice(verdict, held, "", out)?;
    }
    writeln!(out)?;
    way(verdict, out)?;
    sources(verdict, out)?;
    limits_of_labels(verdict, out)?;
    windows(&verdict.windows, out)
}

/// Where it goes, and on what terms.
fn way(verdict: &Verdict, out: Out<'_>) -> io::Result<()> {
    let (explained, keys) = (&verdict.explained, &verdict.keys);
    let explanation = &explained.explanation;
    let key = |key: &Option<String>| {
        key.as_ref()
            .map_or(String::new(), |key| format!(" ({key})"))
    };
    let site = match explanation.site.is_empty() {
        true => "not known".to_owned(),
        false => format!(
            "{}, by {}{}",
            explanation.site,
            explained.by,
            key(&keys.site)
        ),
    };
    let pool = match explanation.pool.is_empty() {
        true => "none".to_owned(),
        false => format!("{}{}", explanation.pool, key(&keys.pool)),
    };
    field("domain", &explained.domain, out)?;
    field("site", &site, out)?;
    field(
        "provider",
        &format!("{} ({})", explanation.provider, keys.provider),
        out,
    )?;
    field(
        "tls",
        &format!("{} ({})", explained.tls.name(), keys.tls),
        out,
    )?;
    field("pool", &pool, out)?;
    if let Some(reply) = &verdict.refused {
        field("refused", &reply.to_string(), out)?;
    }
    verdict
        .notes
        .iter()
        .try_for_each(|note| field("note", note, out))
}

fn field(name: &str, value: &str, out: Out<'_>) -> io::Result<()> {
    writeln!(out, "{name:<9} {value}")
}

fn sources(verdict: &Verdict, out: Out<'_>) -> io::Result<()> {
    let candidates = &verdict.explained.explanation.candidates;
    writeln!(
        out,
        "\nsources, in the order in which this message tries them"
    )?;
    if candidates.is_empty() {
        writeln!(out, "  none")?;
    }
    candidates
        .iter()
        .try_for_each(|candidate| source(verdict, candidate, out))
}

fn source(verdict: &Verdict, candidate: &Candidate, out: Out<'_>) -> io::Result<()> {
    let Candidate { source, pool, .. } = candidate;
    let key = verdict.keys.sources.get(source);
    let key = key.map_or(source.to_string(), |key| key.clone());
    let address = candidate.address.map(|address| format!(" {address}"));
    let address = address.unwrap_or_default();
    writeln!(out, "  {source}{address}, by pool {pool} ({key})")?;
    standing(verdict, candidate, out)?;
    if candidate.limits.is_empty() {
        let keys = "limits.source, limits.provider, limits.site";
        writeln!(out, "    limit    none ({key}.limits, {keys})")?;
    }
    for fill in &candidate.limits {
        writeln!(out, "    limit    {}", limit(fill))?;
    }
    for position in &candidate.warmup {
        writeln!(out, "    warm-up  {} ({key}.warmup)", warmup(position))?;
    }
    match &candidate.line {
        Some(line) => of_line(verdict, line, candidate, out),
        None => writeln!(out, "    line     none yet"),
    }
}

/// Why it is or is not taken.
fn standing(verdict: &Verdict, candidate: &Candidate, out: Out<'_>) -> io::Result<()> {
    match (&candidate.held, candidate.taken) {
        (None, true) => writeln!(out, "    taken"),
        (None, false) => writeln!(out, "    not taken: one before it is"),
        (Some(held), taken) => {
            let taken = if taken {
                "taken when it can"
            } else {
                "not taken"
            };
            writeln!(out, "    {taken}: waits for {}", until(held, held.until()))?;
            advice(verdict, held, "    ", out)
        }
    }
}

/// What to change, or which command to give.
fn advice(verdict: &Verdict, held: &Held, indent: &str, out: Out<'_>) -> io::Result<()> {
    let Some(advice) = verdict.advice_on(held) else {
        return Ok(());
    };
    if !advice.keys.is_empty() {
        writeln!(out, "{indent}  decided by {}", advice.keys.join(", "))?;
    }
    match &advice.command {
        Some(command) => writeln!(out, "{indent}  ended by   {command}"),
        None => Ok(()),
    }
}

fn of_line(
    verdict: &Verdict,
    line: &LineView,
    candidate: &Candidate,
    out: Out<'_>,
) -> io::Result<()> {
    let LineView {
        waiting,
        open,
        window,
        most,
        held,
    } = line;
    let key = "delivery.max_connections_per_site";
    writeln!(
        out,
        "    line     {waiting} waiting; connections: {open} open, {window} may be, {most} at most ({key})"
    )?;
    match held {
        Some(held) if candidate.held.as_ref() != Some(held) => {
            writeln!(out, "             waits for {}", until(held, held.until()))?;
            advice(verdict, held, "           ", out)
        }
        _ => Ok(()),
    }
}

fn limits_of_labels(verdict: &Verdict, out: Out<'_>) -> io::Result<()> {
    writeln!(out, "\nlimits of tenant and campaign")?;
    let limits = &verdict.explained.explanation.limits;
    if limits.is_empty() {
        let tenant = verdict.keys.tenant.as_ref();
        let own = tenant.map(|key| format!("{key}.limits, {key}.campaign_limits, "));
        let own = own.unwrap_or_default();
        writeln!(out, "  none ({own}limits.tenant, limits.campaign)")?;
    }
    limits
        .iter()
        .try_for_each(|fill| writeln!(out, "  {}", limit(fill)))
}

fn windows(windows: &[Window], out: Out<'_>) -> io::Result<()> {
    writeln!(out, "\nsend windows")?;
    if windows.is_empty() {
        writeln!(out, "  none (tenant[].send_window, provider[].send_window)")?;
    }
    windows.iter().try_for_each(|window| {
        let state = if window.open { "open" } else { "closed" };
        let (of, hours, until, key) = (&window.of, &window.window, window.until, &window.key);
        writeln!(out, "  {of}: {hours}, {state} until {until} ({key})")
    })
}

/// `source ip-a: 3 of 100/s messages (source[0].limits.messages)`
pub fn limit(fill: &Fill) -> String {
    let Fill {
        of,
        used,
        limit,
        key,
        ..
    } = fill;
    let what = match fill.kind {
        Kind::Messages => "messages",
        Kind::Connections => "connections",
        Kind::ConnectionRate => "new connections",
        Kind::Bytes => "octets",
    };
    let free = fill.until.map(|until| format!(", full until {until}"));
    format!(
        "{of}: {used} of {limit} {what} ({key}){}",
        free.unwrap_or_default()
    )
}

/// `to google: warming, stage 3 of 45, sending day 3, 120 of 500 used, 380 left`
pub fn warmup(position: &Position) -> String {
    let provider = &position.provider;
    let mut text = format!("to {provider}: {}", state(position));
    text.push_str(&format!(", sending day {}", position.day));
    if let Some(budget) = &position.budget {
        let (used, cap, left) = (budget.used, budget.cap, budget.remaining);
        text.push_str(&format!(", {used} of {cap} used, {left} left"));
        if budget.released < cap {
            text.push_str(&format!(", {} released so far", budget.released));
        }
    }
    if let Some(because) = &position.because {
        text.push_str(&format!("; {because}"));
    }
    if let Some(until) = position.until.map(|until| format!("until {until}"))
        && !text.contains(&until)
    {
        text.push_str(&format!("; {until}"));
    }
    text
}

/// `warming, stage 3 of 45`; past the last stage `warm`.
pub fn state(position: &Position) -> String {
    let condition = condition(position.condition);
    match position.stage {
        Stage::At(stage) => format!("{condition}, stage {stage} of {}", position.stages),
        Stage::Warm => condition.to_owned(),
    }
}

/// In a word.
pub fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Warming => "warming",
        Condition::Held => "held",
        Condition::Paused => "paused",
        Condition::Warm => "warm",
    }
}
