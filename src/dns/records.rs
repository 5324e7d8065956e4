//! Records of any type, as they are published: what SPF, DKIM, DMARC and checks of a zone ask for.

use super::cache::{Answer, FAILURE_HOLD};
use super::lookup::Found;
use super::{DnsFailure, Resolver, a_labels};
use crate::units::Timestamp;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a name has of one type.
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    /// In the order of the answer; empty where the name exists without any.
    pub data: Vec<RData>,
    /// DNS is asked anew after this.
    pub expires: Timestamp,
}

impl Records {
    /// TXT records, the strings of each put together without a space (RFC 7208 §3.3, RFC 6376 §3.6.2.2).
    pub fn texts(&self) -> impl Iterator<Item = Vec<u8>> {
        self.data.iter().filter_map(text)
    }
}

/// The strings of a TXT record put together.
pub fn text(data: &RData) -> Option<Vec<u8>> {
    match data {
        RData::TXT(txt) => Some(txt.txt_data.concat()),
        _ => None,
    }
}

impl Resolver {
    /// The records of `kind` at `name`; CNAMEs are followed. Kept as other answers are.
    ///
    /// # Errors
    /// There is no such name, or the name servers fail.
    pub async fn records(&self, name: &str, kind: RecordType) -> Result<Arc<Records>, DnsFailure> {
        let name = a_labels(name)?;
        let key = key(&name, kind);
        let cache = &self.0.records;
        cache.get(&key, || self.find_records(&name, kind)).await
    }

    /// As [`Resolver::records`], asked now whatever is remembered; nothing of it is kept.
    ///
    /// # Errors
    /// As [`Resolver::records`].
    pub async fn records_now(
        &self,
        name: &str,
        kind: RecordType,
    ) -> Result<Arc<Records>, DnsFailure> {
        let name = a_labels(name)?;
        self.find_records(&name, kind).await.result
    }

    /// As [`Resolver::records`], where that needs no question.
    pub fn known_records(
        &self,
        name: &str,
        kind: RecordType,
    ) -> Option<Result<Arc<Records>, DnsFailure>> {
        let name = a_labels(name).ok()?;
        self.0.records.fresh(&key(&name, kind))
    }

    /// PTR records of an address, under `in-addr.arpa` or `ip6.arpa`.
    ///
    /// # Errors
    /// As [`Resolver::records`].
    pub async fn pointers(&self, address: IpAddr) -> Result<Arc<Records>, DnsFailure> {
        let name = Name::from(address).to_ascii();
        self.records(&name, RecordType::PTR).await
    }

    async fn find_records(&self, name: &str, kind: RecordType) -> Answer<Arc<Records>> {
        let there = |data, ttl: Duration| {
            let expires = self.0.clock.now() + ttl;
            let result = Ok(Arc::new(Records { data, expires }));
            Answer { result, ttl }
        };
        let (failure, ttl) = match self.0.asker.ask(name, kind).await {
            Found::Records(data, ttl) => return there(data, ttl),
            Found::NoData(ttl) => return there(Vec::new(), ttl),
            Found::NoName(ttl) => (DnsFailure::NoSuchDomain(name.into()), ttl),
            Found::Failed(why) => (DnsFailure::Temporary(why), FAILURE_HOLD),
        };
        Answer {
            result: Err(failure),
            ttl,
        }
    }
}

fn key(name: &str, kind: RecordType) -> String {
    format!("{kind} {name}")
}
