//! One question to the name servers, its answer sorted into "there is", "there is none" and "nobody knows".

use super::Config;
use super::cache::FAILURE_HOLD;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::ProtoError;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{TokioResolver, lookup::Lookup};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Asks the configured name servers, so many questions at a time.
pub(super) struct Asker {
    resolver: TokioResolver,
    permits: Semaphore,
    bounds: Bounds,
}

/// What came of a question, with how long that holds.
pub(super) enum Found {
    Records(Vec<RData>, Duration),
    /// The name exists, records of this type do not.
    NoData(Duration),
    NoName(Duration),
    Failed(Box<str>),
}

struct Bounds {
    min: Duration,
    max: Duration,
    negative: Duration,
}

impl Asker {
    pub fn new(config: &Config) -> io::Result<Self> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = if config.nameservers.is_empty() {
            TokioResolver::builder(provider).map_err(io::Error::other)?
        } else {
            let servers = config.nameservers.iter().copied().map(name_server);
            let servers = ResolverConfig::from_name_servers(servers.collect());
            TokioResolver::builder_with_config(servers, provider)
        };
        set_options(builder.options_mut(), config);
        Ok(Self {
            resolver: builder.build().map_err(io::Error::other)?,
            permits: Semaphore::new(usize::from(config.concurrency.max(1))),
            bounds: Bounds {
                min: config.min_ttl.0,
                max: config.max_ttl.0,
                negative: config.max_negative_ttl.0,
            },
        })
    }

    /// Asks for `kind` at `name`; CNAMEs are followed.
    pub async fn ask(&self, name: &str, kind: RecordType) -> Found {
        let Ok(mut asked) = name_of(name) else {
            // A name that DNS cannot hold is the name of nobody.
            return Found::NoName(self.bounds.negative);
        };
        // Never the search list of this machine: `example` is not `example.our.domain`.
        asked.set_fqdn(true);
        // The semaphore is never closed; were it, the question would go out unbounded.
        let _permit = self.permits.acquire().await.ok();
        match self.resolver.lookup(asked, kind).await {
            Ok(lookup) => self.records(&lookup, kind),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                let ttl = self.bounds.negative(none.negative_ttl);
                if none.response_code == ResponseCode::NXDomain {
                    Found::NoName(ttl)
                } else {
                    Found::NoData(ttl)
                }
            }
            Err(error) => Found::Failed(format!("{kind} of {name}: {error}").into()),
        }
    }

    fn records(&self, lookup: &Lookup, kind: RecordType) -> Found {
        let answers = lookup.answers();
        let ttl = answers.iter().map(|record| record.ttl).min().unwrap_or(0);
        let wanted = answers.iter().map(|record| &record.data);
        let wanted: Vec<RData> = wanted
            .filter(|data| data.record_type() == kind)
            .cloned()
            .collect();
        if wanted.is_empty() {
            return Found::NoData(FAILURE_HOLD);
        }
        Found::Records(wanted, self.bounds.positive(ttl))
    }
}

impl Bounds {
    fn positive(&self, ttl: u32) -> Duration {
        let ttl = Duration::from_secs(u64::from(ttl));
        ttl.max(self.min).min(self.max)
    }

    /// Without an SOA there is no time to respect (RFC 2308 §5): not for long, then.
    fn negative(&self, ttl: Option<u32>) -> Duration {
        let ttl = ttl.map_or(FAILURE_HOLD, |ttl| Duration::from_secs(u64::from(ttl)));
        ttl.max(self.min).min(self.negative)
    }
}

/// Host names mostly; a macro of SPF may make a name of any octets.
fn name_of(text: &str) -> Result<Name, ProtoError> {
    Name::from_ascii(text).or_else(|_| Name::from_labels(text.split('.').map(str::as_bytes)))
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

fn set_options(options: &mut ResolverOpts, config: &Config) {
    options.timeout = config.timeout.0;
    options.attempts = usize::from(config.attempts);
    // Answers are kept on our own clock, in front of this.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.max_active_requests = usize::from(config.concurrency.max(1));
    // With several servers one question goes to one of them, not to two at once.
    options.num_concurrent_reqs = 1;
}
