//! A verdict as people read it.

use super::pace;
use crate::events::Breaker;
use crate::http::explain::{text, until};
use crate::http::{Aligned, Verdict, Window};
use crate::policy::Held;
use crate::policy::explain::{Candidate, LineView};
use crate::policy::limits::{Fill, Kind};
use crate::policy::warmup::{Condition, Position, Stage, WHOLE};
use std::fmt::{self, Write};

/// What has been said so far: what was said once is not said again.
type Said<'s> = &'s mut String;

/// Appends to `said` the sentence, then what it rests on, each with the key of the configuration that decides about it.
///
/// # Errors
/// None: a text takes everything.
pub fn verdict(verdict: &Verdict, said: Said<'_>) -> fmt::Result {
    writeln!(said, "{}", verdict.summary)?;
    if let Some(held) = &verdict.explained.waits {
        advice(verdict, held, "", said)?;
    }
    writeln!(said)?;
    grounds(verdict, said)
}

/// What the sentence rests on.
pub fn grounds(verdict: &Verdict, said: Said<'_>) -> fmt::Result {
    way(verdict, said)?;
    sources(verdict, said)?;
    alignment(&verdict.alignment, said)?;
    limits_of_labels(verdict, said)?;
    windows(&verdict.windows, said)
}

/// Where it goes, and on what terms.
fn way(verdict: &Verdict, said: Said<'_>) -> fmt::Result {
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
    let provider = format!("{} ({})", explanation.provider, keys.provider);
    let tls = format!("{} ({})", explained.tls.name(), keys.tls);
    field("domain", &explained.domain, said)?;
    field("site", &site, said)?;
    field("provider", &provider, said)?;
    field("tls", &tls, said)?;
    if let Some(asks) = &explained.asks {
        field("", asks, said)?;
    }
    if let Some(wish) = &explained.wish {
        field("", wish, said)?;
    }
    field("pool", &pool, said)?;
    let mut slowed = explanation.slowed.iter();
    slowed.try_for_each(|slow| field("slowed", &slow.to_string(), said))?;
    if let Some(reply) = &verdict.refused {
        field("refused", &reply.to_string(), said)?;
    }
    if let Some(told) = &verdict.suppressed {
        field("recipient", told, said)?;
    }
    let mut notes = verdict.notes.iter();
    notes.try_for_each(|note| field("note", note, said))
}

fn field(name: &str, value: &str, said: Said<'_>) -> fmt::Result {
    writeln!(said, "{name:<9} {value}")
}

fn sources(verdict: &Verdict, said: Said<'_>) -> fmt::Result {
    let candidates = &verdict.explained.explanation.candidates;
    writeln!(
        said,
        "\nsources, in the order in which this message tries them"
    )?;
    if candidates.is_empty() {
        writeln!(said, "  none")?;
    }
    candidates
        .iter()
        .try_for_each(|candidate| source(verdict, candidate, said))
}

fn source(verdict: &Verdict, candidate: &Candidate, said: Said<'_>) -> fmt::Result {
    let Candidate { source, pool, .. } = candidate;
    let key = verdict.keys.sources.get(source);
    let key = key.map_or(source.to_string(), |key| key.clone());
    let address = candidate.address.map(|address| format!(" {address}"));
    let address = address.unwrap_or_default();
    writeln!(said, "  {source}{address}, by pool {pool} ({key})")?;
    standing(verdict, candidate, said)?;
    if candidate.limits.is_empty() {
        let keys = "limits.source, limits.provider, limits.site";
        writeln!(said, "    limit    none ({key}.limits, {keys})")?;
    }
    for fill in &candidate.limits {
        writeln!(said, "    limit    {}", limit(fill))?;
    }
    for position in &candidate.warmup {
        let position = brief(position, said);
        writeln!(said, "    warm-up  {position} ({key}.warmup)")?;
    }
    match &candidate.line {
        Some(line) => of_line(verdict, line, candidate, said),
        None => writeln!(said, "    line     none yet"),
    }
}

/// Why it is or is not taken.
fn standing(verdict: &Verdict, candidate: &Candidate, said: Said<'_>) -> fmt::Result {
    let chosen = if candidate.taken { "chosen" } else { "not now" };
    match (&candidate.held, candidate.taken) {
        (None, true) => writeln!(said, "    chosen"),
        (None, false) => writeln!(said, "    next in order, not needed"),
        (Some(held), _) => {
            let again = said.contains(&text(held));
            match again {
                true => writeln!(said, "    {chosen}; waits, as said above"),
                false => {
                    let why = until(held, held.until());
                    writeln!(said, "    {chosen}; waits for {why}")?;
                    advice(verdict, held, "    ", said)
                }
            }
        }
    }
}

/// What to change, or which command to give.
pub fn advice(verdict: &Verdict, held: &Held, indent: &str, said: Said<'_>) -> fmt::Result {
    let Some(advice) = verdict.advice_on(held) else {
        return Ok(());
    };
    if !advice.keys.is_empty() {
        writeln!(said, "{indent}  decided by {}", advice.keys.join(", "))?;
    }
    match &advice.command {
        Some(command) => writeln!(said, "{indent}  ended by   {command}"),
        None => Ok(()),
    }
}

fn of_line(
    verdict: &Verdict,
    line: &LineView,
    candidate: &Candidate,
    said: Said<'_>,
) -> fmt::Result {
    let LineView {
        waiting,
        open,
        window,
        most,
        breaker,
        held,
    } = line;
    let key = "delivery.max_connections_per_site";
    let takes = pace::takes(*waiting, verdict, candidate);
    let takes = takes.map_or(String::new(), |takes| format!(", {takes}"));
    writeln!(
        said,
        "    line     {waiting} waiting{takes}; connections: {open} open, {window} may be, {most} at most ({key})"
    )?;
    if *breaker != Breaker::Closed {
        writeln!(
            said,
            "             its circuit breaker is {}",
            breaker.name()
        )?;
    }
    match held {
        Some(held) if !said.contains(&text(held)) => {
            let why = until(held, held.until());
            writeln!(said, "             waits for {why}")?;
            advice(verdict, held, "           ", said)
        }
        _ => Ok(()),
    }
}

/// Absent where it is not asked.
fn alignment(aligned: &[Aligned], said: Said<'_>) -> fmt::Result {
    if aligned.is_empty() {
        return Ok(());
    }
    writeln!(said, "\nas its receivers will see it (alignment.action)")?;
    aligned.iter().try_for_each(|at| {
        writeln!(said, "  from {} {}", at.source, at.address)?;
        writeln!(said, "    spf      {}", at.spf)?;
        for key in &at.dkim {
            writeln!(said, "    dkim     {key}")?;
        }
        writeln!(said, "    dmarc    {}", at.dmarc)?;
        for finding in &at.findings {
            match said.contains(finding) {
                true => writeln!(said, "    finding  {}, as said above", rule(finding))?,
                false => writeln!(said, "    finding  {finding}")?,
            }
        }
        Ok(())
    })
}

fn rule(finding: &str) -> &str {
    finding.split(' ').next().unwrap_or_default()
}

fn limits_of_labels(verdict: &Verdict, said: Said<'_>) -> fmt::Result {
    writeln!(said, "\nlimits of tenant and campaign")?;
    let limits = &verdict.explained.explanation.limits;
    if limits.is_empty() {
        let tenant = verdict.keys.tenant.as_ref();
        let own = tenant.map(|key| format!("{key}.limits, {key}.campaign_limits, "));
        let own = own.unwrap_or_default();
        writeln!(said, "  none ({own}limits.tenant, limits.campaign)")?;
    }
    limits
        .iter()
        .try_for_each(|fill| writeln!(said, "  {}", limit(fill)))
}

fn windows(windows: &[Window], said: Said<'_>) -> fmt::Result {
    writeln!(said, "\nsend windows")?;
    if windows.is_empty() {
        writeln!(
            said,
            "  none (tenant[].send_window, provider[].send_window)"
        )?;
    }
    windows.iter().try_for_each(|window| {
        let state = if window.open { "open" } else { "closed" };
        let (of, hours, until, key) = (&window.of, &window.window, window.until, &window.key);
        writeln!(said, "  {of}: {hours}, {state} until {until} ({key})")
    })
}

/// `source ip-a: 3 of 100/s messages (source[0].limits.messages)`
fn limit(fill: &Fill) -> String {
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

/// `to google: warming, stage 3 of 45, sending day 3, 120 of 500 used, 380 left`; its reason where it was not said yet.
fn brief(position: &Position, said: &str) -> String {
    let provider = match position.provider.as_str() {
        WHOLE => "all providers together",
        provider => provider,
    };
    let mut text = format!("to {provider}: {}", state(position));
    text.push_str(&format!(", sending day {}", position.day));
    if let Some(budget) = &position.budget {
        let (used, cap, left) = (budget.used, budget.cap, budget.remaining);
        text.push_str(&format!(", {used} of {cap} used, {left} left"));
        if budget.released < cap {
            text.push_str(&format!(", {} released so far", budget.released));
        }
    }
    match &position.because {
        Some(because) if said.contains(because) => text.push_str("; as said above"),
        Some(because) => text.push_str(&format!("; {because}")),
        None => {}
    }
    if let Some(hindered) = &position.hindered
        && !text.contains(hindered)
    {
        text.push_str(&format!("; no next stage: {hindered}"));
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
