//! The live zone, as the checks see it: plain values, and "there is none" told apart from "nobody knows".

use super::record::{Data, Record, reverse};
use crate::dns::{DnsFailure, Resolver};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use std::net::{IpAddr, Ipv4Addr};

/// Asks DNS.
#[derive(Clone)]
pub struct Ask {
    resolver: Resolver,
    /// What is remembered does not count.
    is_afresh: bool,
}

/// What a name holds of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    pub data: Vec<T>,
    /// The name exists, if only with records of other types.
    pub exists: bool,
}

/// The name servers failed or did not answer: nothing is known. Holds what went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown(pub String);

pub type Asked<T> = Result<Answer<T>, Unknown>;

impl Ask {
    pub fn new(resolver: Resolver) -> Self {
        Self {
            resolver,
            is_afresh: false,
        }
    }

    /// Asks anew each time: for one who looks again and again for what has changed.
    pub fn afresh(resolver: Resolver) -> Self {
        Self {
            resolver,
            is_afresh: true,
        }
    }

    /// TXT records, the strings of each put together.
    pub async fn texts(&self, name: &str) -> Asked<String> {
        self.ask(name, RecordType::TXT, |data| match data {
            RData::TXT(txt) => {
                let octets = txt.txt_data.concat();
                Some(String::from_utf8_lossy(&octets).into_owned())
            }
            _ => None,
        })
        .await
    }

    /// Preference and host of MX records, the most preferred first.
    pub async fn exchanges(&self, name: &str) -> Asked<(u16, String)> {
        let of = |data: &RData| match data {
            RData::MX(mx) => Some((mx.preference, bare(&mx.exchange))),
            _ => None,
        };
        let mut answer = self.ask(name, RecordType::MX, of).await?;
        answer.data.sort();
        Ok(answer)
    }

    /// A alone: what blocklists answer with (RFC 5782 §2.1).
    pub async fn v4_addresses(&self, name: &str) -> Asked<Ipv4Addr> {
        self.ask(name, RecordType::A, |data| match data {
            RData::A(address) => Some(address.0),
            _ => None,
        })
        .await
    }

    /// A and AAAA.
    pub async fn addresses(&self, name: &str) -> Asked<IpAddr> {
        let v4 = self.ask(name, RecordType::A, RData::ip_addr);
        let v6 = self.ask(name, RecordType::AAAA, RData::ip_addr);
        let (v4, v6) = tokio::join!(v4, v6);
        let (mut v4, v6) = (v4?, v6?);
        v4.data.extend(v6.data);
        v4.exists |= v6.exists;
        Ok(v4)
    }

    /// The PTR names of an address.
    pub async fn pointers(&self, address: IpAddr) -> Asked<String> {
        self.ask(&reverse(address), RecordType::PTR, |data| match data {
            RData::PTR(name) => Some(bare(&name.0)),
            _ => None,
        })
        .await
    }

    async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        of: impl Fn(&RData) -> Option<T>,
    ) -> Asked<T> {
        let records = match self.is_afresh {
            true => self.resolver.records_now(name, kind).await,
            false => self.resolver.records(name, kind).await,
        };
        match records {
            Ok(records) => Ok(Answer {
                data: records.data.iter().filter_map(of).collect(),
                exists: true,
            }),
            Err(DnsFailure::Temporary(why)) => Err(Unknown(why.into())),
            Err(_) => Ok(Answer {
                data: Vec::new(),
                exists: false,
            }),
        }
    }
}

impl<T> Answer<T> {
    /// The records as zone lines; what is said where there are none.
    pub fn lines(&self, name: &str, data: impl Fn(&T) -> Data) -> Vec<String> {
        if self.data.is_empty() {
            let absent = match self.exists {
                true => "no such record",
                false => "no such name",
            };
            return vec![format!("({absent})")];
        }
        let line = |one: &T| {
            Record {
                name: name.to_owned(),
                ttl: None,
                data: data(one),
            }
            .to_string()
        };
        self.data.iter().map(line).collect()
    }
}

/// Lower case, without the final dot.
fn bare(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.trim_end_matches('.').to_owned()
}
