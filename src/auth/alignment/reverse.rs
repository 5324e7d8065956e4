//! What DNS says of an address of ours by itself: its name, and whether names lead back to it (RFC 8601 §2.7.3).

use super::identity::Origin;
use crate::auth::ask::{Ask, NO_NAME_HOLD, askable, plain};
use crate::auth::spf::pointer;
use crate::dns::DnsFailure;
use crate::units::Timestamp;
use hickory_resolver::proto::rr::{RData, RecordType};
use std::net::IpAddr;

/// The names of an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverse {
    /// The first in its PTR record.
    pub name: Option<Box<str>>,
    /// That name leads to the address.
    pub is_confirmed: bool,
    /// The name in EHLO leads to the address.
    pub ehlo_resolves: bool,
}

/// Asks for the names of `origin`. Returns how long that holds; `None` where name servers failed, which says nothing of how
/// long the rest holds.
pub async fn find<A: Ask>(
    ask: &A,
    now: Timestamp,
    origin: &Origin,
) -> Option<(Reverse, Timestamp)> {
    let at = pointer(origin.ip);
    let (pointed, mut expires) = look(ask, now, &at, RecordType::PTR).await?;
    let name = pointed.iter().find_map(|data| match data {
        RData::PTR(name) => Some(plain(name)),
        _ => None,
    });
    let (is_confirmed, until) = match &name {
        Some(name) => leads_to(ask, now, name, origin.ip).await?,
        None => (false, expires),
    };
    expires = expires.min(until);
    let (ehlo_resolves, until) = leads_to(ask, now, &origin.ehlo, origin.ip).await?;
    let reverse = Reverse {
        name: name.map(Into::into),
        is_confirmed,
        ehlo_resolves,
    };
    Some((reverse, expires.min(until)))
}

async fn leads_to<A: Ask>(
    ask: &A,
    now: Timestamp,
    host: &str,
    ip: IpAddr,
) -> Option<(bool, Timestamp)> {
    let kind = match ip {
        IpAddr::V4(_) => RecordType::A,
        IpAddr::V6(_) => RecordType::AAAA,
    };
    let (found, until) = look(ask, now, host, kind).await?;
    let mut addresses = found.iter().filter_map(RData::ip_addr);
    Some((addresses.any(|address| address == ip), until))
}

async fn look<A: Ask>(
    ask: &A,
    now: Timestamp,
    name: &str,
    kind: RecordType,
) -> Option<(Vec<RData>, Timestamp)> {
    let nothing = Some((Vec::new(), now + NO_NAME_HOLD));
    let Some(name) = askable(name) else {
        return nothing;
    };
    match ask.ask(name, kind).await {
        Ok(records) => Some((records.data.clone(), records.expires)),
        Err(DnsFailure::NoSuchDomain(_)) => nothing,
        Err(_) => None,
    }
}
