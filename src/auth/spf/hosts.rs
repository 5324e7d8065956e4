//! The mechanisms that compare addresses: `a`, `mx`, `exists` and `ptr` (RFC 7208 §5.3 to §5.7).

use super::error::{MAX_NAMES, SpfError};
use super::eval::CheckHost;
use super::macros::{dotted, version};
use super::record::Lengths;
use crate::auth::ask::{Ask, askable, plain};
use hickory_resolver::proto::rr::{RData, RecordType};
use std::net::IpAddr;

impl<A: Ask> CheckHost<'_, '_, A> {
    /// RFC 7208 §5.3.
    pub(super) async fn a(
        &mut self,
        host: &str,
        lengths: Lengths,
        step: usize,
    ) -> Result<bool, SpfError> {
        let addresses = self.addresses(host).await?;
        self.compare(&addresses, lengths, step)
    }

    /// RFC 7208 §5.4. The domain itself is never its own mail host here.
    pub(super) async fn mx(
        &mut self,
        domain: &str,
        lengths: Lengths,
        step: usize,
    ) -> Result<bool, SpfError> {
        let answer = self.run.look(domain, RecordType::MX).await?;
        let hosts = answer.data().iter().filter_map(|data| match data {
            RData::MX(mx) => Some(plain(&mx.exchange)),
            _ => None,
        });
        let hosts: Vec<String> = hosts.collect();
        if hosts.len() > MAX_NAMES {
            return Err(SpfError::Exchanges(domain.into()));
        }
        let mut addresses = Vec::new();
        // The host of a null MX is the root, which is not asked for.
        for host in hosts.iter().filter_map(|host| askable(host)) {
            addresses.extend(self.addresses(host).await?);
        }
        self.compare(&addresses, lengths, step)
    }

    /// RFC 7208 §5.7: an IPv4 address, whatever the family of the client.
    pub(super) async fn exists(&mut self, name: &str, step: usize) -> Result<bool, SpfError> {
        let answer = self.run.look(name, RecordType::A).await?;
        let exists = !answer.data().is_empty();
        if !exists {
            self.run.void(step)?;
        }
        Ok(exists)
    }

    /// RFC 7208 §5.5.
    pub(super) async fn ptr(&mut self, target: &str, step: usize) -> Result<bool, SpfError> {
        let target = target.to_ascii_lowercase();
        let names = self.validated().await;
        let matched = names.iter().any(|name| is_at_or_below(name, &target));
        if names.is_empty() {
            self.run.void(step)?;
        }
        Ok(matched)
    }

    /// The names of the client's address that lead back to it. Failures count as names that do not.
    pub(super) async fn validated(&mut self) -> &[String] {
        if self.names.is_none() {
            self.names = Some(self.find_validated().await);
        }
        self.names.as_deref().unwrap_or_default()
    }

    async fn find_validated(&mut self) -> Vec<String> {
        let ip = self.scene.ip;
        let labels = dotted(ip);
        let reversed: Vec<&str> = labels.rsplit('.').collect();
        let question = format!("{}.{}.arpa", reversed.join("."), version(ip));
        let Ok(answer) = self.run.look(&question, RecordType::PTR).await else {
            return Vec::new();
        };
        let names = answer.data().iter().filter_map(|data| match data {
            RData::PTR(name) => Some(plain(name)),
            _ => None,
        });
        let mut validated = Vec::new();
        for name in names.take(MAX_NAMES) {
            let Some(host) = askable(&name) else { continue };
            let addresses = self.addresses(host).await.unwrap_or_default();
            if addresses.contains(&ip) {
                validated.push(name);
            }
        }
        validated
    }

    /// Addresses of the client's family.
    async fn addresses(&mut self, host: &str) -> Result<Vec<IpAddr>, SpfError> {
        let kind = match self.scene.ip {
            IpAddr::V4(_) => RecordType::A,
            IpAddr::V6(_) => RecordType::AAAA,
        };
        let answer = self.run.look(host, kind).await?;
        Ok(answer.data().iter().filter_map(RData::ip_addr).collect())
    }

    fn compare(
        &mut self,
        found: &[IpAddr],
        lengths: Lengths,
        step: usize,
    ) -> Result<bool, SpfError> {
        if found.is_empty() {
            self.run.void(step)?;
        }
        let client = self.scene.ip;
        Ok(found.iter().any(|address| lengths.agree(*address, client)))
    }
}

pub(super) fn is_at_or_below(name: &str, domain: &str) -> bool {
    let rest = name.strip_suffix(domain);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
