//! What holds a message that has no line to wait in yet: what a line would find out when its turn comes.

use crate::http::Window;
use crate::mail::Stream;
use crate::policy::Held;
use crate::policy::explain::{Candidate, Explanation};
use crate::policy::limits::{Fill, Full, Kind};

/// Hours that are closed; transactional mail goes at any.
pub fn closed(windows: &[Window], stream: Option<Stream>) -> Option<Held> {
    let mut windows = windows.iter().filter(|window| !window.open);
    let window = windows
        .next()
        .filter(|_| stream != Some(Stream::Transactional))?;
    Some(Held::SendWindow {
        of: window.of.as_str().into(),
        window: window.window.as_str().into(),
        until: window.until,
        key: window.key.as_str().into(),
    })
}

/// A limit of the tenant, of the campaign, or of the source it leaves from, that lets nothing through.
pub fn full(explanation: &Explanation) -> Option<Held> {
    let taken = explanation.candidates.iter().find(|c| c.taken);
    let of_source = taken.into_iter().flat_map(limits_ahead);
    let mut limits = explanation.limits.iter().chain(of_source);
    limits.find_map(as_full).map(Held::Limit)
}

/// Where a connection is open, those on connections are no matter any more.
fn limits_ahead(candidate: &Candidate) -> impl Iterator<Item = &Fill> {
    let has_one = candidate.line.as_ref().is_some_and(|line| line.open > 0);
    let of_opening = |fill: &Fill| matches!(fill.kind, Kind::Connections | Kind::ConnectionRate);
    let limits = candidate.limits.iter();
    limits.filter(move |fill| !(has_one && of_opening(fill)))
}

fn as_full(fill: &Fill) -> Option<Full> {
    Some(Full {
        kind: fill.kind,
        of: fill.of.clone(),
        limit: fill.limit.clone(),
        used: fill.used,
        key: fill.key.clone(),
        until: fill.until?,
    })
}

/// Others wait in the line, and no further connection may open.
pub fn busy(explanation: &Explanation) -> Option<Held> {
    let taken = explanation.candidates.iter().find(|c| c.taken)?;
    let line = taken.line.as_ref()?;
    let is_busy = line.waiting > 0 && line.open >= line.window;
    is_busy.then(|| Held::SiteWindow {
        site: explanation.site.clone(),
        window: line.window,
        most: line.most,
        reply: None,
    })
}

#[cfg(test)]
mod tests;
