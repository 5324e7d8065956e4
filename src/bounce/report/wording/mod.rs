//! Notices that are not in the form of RFC 3464: what their words say.
//!
//! Nothing here knows a program. A notice names the address that failed at the start of a line or behind words such as
//! "delivered to", says why beside it, and gives back the message behind it. Whoever else is named (the sender, a
//! postmaster, a help desk) is told from the address by the words before it.

mod named;
mod phrases;
mod sections;

pub use phrases::{is_autoreply, is_failure, is_failure_subject, is_list_refusal};
pub use sections::Sections;

use super::Action;
use super::address::same;
use super::evidence::Evidence;
use named::{Named, Place};

/// Whose addresses are known from elsewhere.
#[derive(Debug, Default)]
pub struct Known {
    /// Recipients of the message given back.
    pub recipients: Vec<String>,
    /// Addresses that the header of the notice says have failed.
    pub failed: Vec<String>,
    /// The sender of the message, to whom the notice came.
    pub senders: Vec<String>,
}

/// One address that the words say has failed.
#[derive(Debug, Clone)]
pub struct Failure {
    pub address: String,
    pub evidence: Evidence,
}

/// The addresses that failed, and what is said of each.
pub fn failures(text: &Sections<'_>, subject: &str, known: &Known) -> Vec<Failure> {
    let named = named::all(&text.notice);
    // A list names itself, and then addresses that one may write to.
    let order = match is_list_refusal(&text.joined()) {
        true => [Place::Marked, Place::Listed, Place::Bare],
        false => [Place::Listed, Place::Marked, Place::Bare],
    };
    let chosen = chosen(&named, known, order);
    let evidence = |place: Option<&Named>, others: &[Named]| {
        let mut evidence = place.map_or_else(Evidence::default, |place| text.beside(place, others));
        // With several recipients, what is said in general may be said of another one.
        if chosen.len() == 1 {
            evidence
                .around
                .extend(text.everything(place.map(|place| place.line)));
            evidence.around.push(subject.to_owned());
        }
        evidence
    };
    let places: Vec<Named> = chosen
        .iter()
        .filter_map(|(_, place)| place.clone())
        .collect();
    let failures = chosen.iter().map(|(address, place)| {
        let mut found = evidence(place.as_ref(), &places);
        found
            .said
            .extend(text.mentions(address, place.as_ref().map(|place| place.line)));
        Failure {
            address: address.clone(),
            evidence: found,
        }
    });
    failures.collect()
}

/// What happened, by the words of the whole.
pub fn action(text: &Sections<'_>, subject: &str) -> Action {
    phrases::action(&text.joined(), subject)
}

/// Each address once, with the place that names it best.
fn chosen(named: &[Named], known: &Known, order: [Place; 3]) -> Vec<(String, Option<Named>)> {
    if !known.failed.is_empty() {
        let place = |address: &String| {
            let mut places = named.iter().filter(|named| same(&named.address, address));
            places
                .clone()
                .find(|named| named.place == Place::Listed)
                .or_else(|| places.next())
                .cloned()
        };
        return known
            .failed
            .iter()
            .map(|address| (address.clone(), place(address)))
            .collect();
    }
    let is_known = |named: &&Named| {
        known
            .recipients
            .iter()
            .any(|known| same(known, &named.address))
    };
    let is_sender = |named: &Named| {
        known
            .senders
            .iter()
            .any(|known| same(known, &named.address))
    };
    let candidates: Vec<&Named> = named.iter().filter(|named| !is_sender(named)).collect();
    for place in order {
        let at_place = candidates
            .iter()
            .copied()
            .filter(|named| named.place == place);
        let mut found: Vec<&Named> = at_place.clone().filter(is_known).collect();
        if found.is_empty() && place != Place::Bare {
            found = at_place.filter(|named| !named.is_role).collect();
        }
        if !found.is_empty() {
            return once(found);
        }
    }
    // Mail to oneself.
    let own = named
        .iter()
        .filter(|named| is_sender(named) && named.place != Place::Bare);
    let known_own: Vec<&Named> = own.clone().filter(is_known).collect();
    match (known_own.is_empty(), &known.recipients[..]) {
        (false, _) => once(known_own),
        (true, [only]) => vec![(only.clone(), None)],
        (true, _) => once(own.filter(|named| named.place == Place::Listed).collect()),
    }
}

fn once(found: Vec<&Named>) -> Vec<(String, Option<Named>)> {
    let mut chosen: Vec<(String, Option<Named>)> = Vec::new();
    for named in found {
        if !chosen
            .iter()
            .any(|(address, _)| same(address, &named.address))
        {
            chosen.push((named.address.clone(), Some(named.clone())));
        }
    }
    chosen
}

#[cfg(test)]
mod tests;
