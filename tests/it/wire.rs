//! Both ends of the wire: our addresses, and what hosts saw come from them.

use crate::internet::Mx;
use crate::journal::PATIENCE;
use mailwright::peers::sink::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// An address that mail leaves from.
pub struct Source {
    pub name: String,
    pub address: IpAddr,
}

impl Source {
    /// The machine's IPv6 loopback address.
    pub fn v6(name: &str) -> Source {
        Source {
            name: name.to_owned(),
            address: Ipv6Addr::LOCALHOST.into(),
        }
    }

    /// Its `[[source]]`, with more keys.
    pub fn with(&self, keys: &str) -> String {
        let Source { name, address } = self;
        let ehlo = self.ehlo();
        format!(
            "[[source]]\nname = \"{name}\"\naddress = \"{address}\"\nehlo = \"{ehlo}\"\n{keys}\n"
        )
    }

    /// What it says EHLO with.
    pub fn ehlo(&self) -> String {
        format!("{}.test", self.name)
    }

    /// Of these messages, those that left from here.
    pub fn sent(&self, messages: &[Arc<Message>]) -> usize {
        let ours = messages.iter().filter(|m| m.peer.ip() == self.address);
        ours.count()
    }
}

impl Mx {
    /// The first recipient of each message, in the order they came, without its domain.
    pub fn order(&self) -> Vec<String> {
        let messages = self.messages();
        let name = |m: &Arc<Message>| m.recipients[0].split('@').next().map(str::to_owned);
        messages.iter().filter_map(name).collect()
    }

    /// Most connections at once, between each one's EHLO and its QUIT, since the command at `from`.
    pub fn most_at_once(&self, from: usize) -> usize {
        let (mut open, mut most) = (BTreeSet::new(), 0);
        for (at, (connection, line)) in self.commands().iter().enumerate() {
            match line.split(' ').next() {
                Some("EHLO") => drop(open.insert(*connection)),
                Some("QUIT") => drop(open.remove(connection)),
                _ => {}
            }
            if at >= from {
                most = most.max(open.len());
            }
        }
        most
    }

    /// The EHLO names of the connections over which `recipient` was asked for, attempt by attempt.
    pub fn asked_by(&self, recipient: &str) -> Vec<String> {
        let (mut names, mut asked) = (BTreeMap::new(), Vec::new());
        for (connection, line) in self.commands() {
            if let Some(name) = line.strip_prefix("EHLO ") {
                names.insert(connection, name.to_owned());
            } else if line.starts_with("RCPT") && line.contains(&format!("<{recipient}>")) {
                asked.extend(names.get(&connection).cloned());
            }
        }
        asked
    }

    /// Waits until so many messages have come in all.
    pub async fn came(&self, messages: u64) {
        let came = self.until(|totals| totals.messages >= messages);
        if tokio::time::timeout(PATIENCE, came).await.is_err() {
            panic!("{messages} messages did not come: {:?}", self.totals());
        }
    }
}
