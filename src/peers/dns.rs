//! A small authoritative DNS server on loopback: a map of names, and switches that make names fail.
//!
//! It answers A, AAAA, MX, CNAME, TXT and PTR over UDP and TCP on one port of `127.0.0.1`, follows CNAMEs inside its map,
//! and says NXDOMAIN for names outside it. It exists so that a test, or a demonstration, holds the whole internet in
//! one process.

use hickory_resolver::proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, PTR, SOA, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record as Resource, RecordType};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

/// What a name holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    /// Preference and host. `"."` as the host makes a null MX (RFC 7505).
    Mx(u16, String),
    Cname(String),
    /// A text of any length; over 255 octets it goes out as several strings.
    Txt(String),
    Ptr(String),
    /// Anything else, as DNS has it.
    Other(RData),
}

impl Record {
    pub fn mx(preference: u16, host: impl Into<String>) -> Self {
        Self::Mx(preference, host.into())
    }
}

impl From<IpAddr> for Record {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::A(v4),
            IpAddr::V6(v6) => Self::Aaaa(v6),
        }
    }
}

/// How the server misbehaves when asked for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    ServFail,
    Refused,
    /// No answer at all, on UDP or TCP.
    Silent,
    /// The answer over UDP is cut short (TC), so that the asker must come over TCP.
    Truncate,
}

/// The server. Its tasks end when it is dropped.
pub struct DnsServer {
    address: SocketAddr,
    zones: Arc<Mutex<Zones>>,
    stop: CancellationToken,
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl DnsServer {
    /// Serves an empty world on a free port of `127.0.0.1`.
    pub async fn start() -> io::Result<Self> {
        let (udp, tcp) = bind().await?;
        let server = Self {
            address: tcp.local_addr()?,
            zones: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (zones, stop) = (server.zones.clone(), server.stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(serve_udp(udp, zones)));
        let (zones, stop) = (server.zones.clone(), server.stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(serve_tcp(tcp, zones)));
        Ok(server)
    }

    /// UDP and TCP; what `[dns] nameservers` takes.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a record. Names are compared without regard to case or a final dot.
    pub fn add(&self, name: &str, record: Record) -> &Self {
        let mut zones = self.zones.lock();
        zones.records.entry(key(name)).or_default().push(record);
        self
    }

    /// Replaces what `name` holds; an empty list leaves a name that exists without records.
    pub fn set(&self, name: &str, records: impl Into<Vec<Record>>) -> &Self {
        self.zones.lock().records.insert(key(name), records.into());
        self
    }

    /// Removes a name: NXDOMAIN from now on.
    pub fn remove(&self, name: &str) -> &Self {
        self.zones.lock().records.remove(&key(name));
        self
    }

    /// Makes every question for `name` fail, whether the name exists or not.
    pub fn fail(&self, name: &str, fault: Fault) -> &Self {
        self.zones.lock().faults.insert(key(name), fault);
        self
    }

    /// Ends the fault of `name`.
    pub fn heal(&self, name: &str) -> &Self {
        self.zones.lock().faults.remove(&key(name));
        self
    }

    /// Makes every question fail; `None` ends it.
    pub fn fail_all(&self, fault: Option<Fault>) -> &Self {
        self.zones.lock().outage = fault;
        self
    }

    /// Seconds that answers live from now on: records, and "there is none". At first 300 and 60.
    pub fn ttl(&self, positive: u32, negative: u32) -> &Self {
        self.zones.lock().ttl = (positive, negative);
        self
    }

    /// Questions for `name` so far, all types and transports.
    pub fn queries(&self, name: &str) -> usize {
        *self.zones.lock().asked.get(&key(name)).unwrap_or(&0)
    }
}

struct Zones {
    records: HashMap<String, Vec<Record>>,
    faults: HashMap<String, Fault>,
    outage: Option<Fault>,
    ttl: (u32, u32),
    asked: HashMap<String, usize>,
}

impl Default for Zones {
    fn default() -> Self {
        Self {
            records: HashMap::new(),
            faults: HashMap::new(),
            outage: None,
            ttl: (300, 60),
            asked: HashMap::new(),
        }
    }
}

/// Longest CNAME chain followed inside the map; a loop ends there.
const CHAIN: usize = 8;

impl Zones {
    /// The answer to a question as octets; `None` is silence.
    fn answer(&mut self, question: &[u8], udp: bool) -> Option<Vec<u8>> {
        let asked = Message::from_vec(question).ok()?;
        let query = asked.queries.first()?.clone();
        let name = key(&query.name().to_ascii());
        let fault = self.faults.get(&name).copied().or(self.outage);
        *self.asked.entry(name).or_default() += 1;

        let mut reply = Message::response(asked.metadata.id, OpCode::Query);
        reply.metadata.recursion_desired = asked.metadata.recursion_desired;
        reply.metadata.recursion_available = true;
        reply.add_query(query.clone());
        match fault {
            Some(Fault::Silent) => return None,
            Some(Fault::ServFail) => reply.metadata.response_code = ResponseCode::ServFail,
            Some(Fault::Refused) => reply.metadata.response_code = ResponseCode::Refused,
            Some(Fault::Truncate) if udp => reply.metadata.truncation = true,
            Some(Fault::Truncate) | None => self.fill(&query, &mut reply),
        }
        reply.to_vec().ok()
    }

    fn fill(&self, query: &Query, reply: &mut Message) {
        let mut name = query.name().clone();
        for _ in 0..CHAIN {
            let Some(records) = self.records.get(&key(&name.to_ascii())) else {
                if !self.has_children(&name) {
                    reply.metadata.response_code = ResponseCode::NXDomain;
                }
                break;
            };
            let alias = records.iter().find_map(|record| match record {
                Record::Cname(target) => Name::from_ascii(target).ok(),
                _ => None,
            });
            let Some(mut target) = alias.filter(|_| query.query_type() != RecordType::CNAME) else {
                let data = records.iter().filter_map(resource_data);
                let wanted = data.filter(|data| data.record_type() == query.query_type());
                reply.add_answers(wanted.map(|data| self.resource(&name, data)));
                break;
            };
            target.set_fqdn(true);
            reply.add_answer(self.resource(&name, RData::CNAME(CNAME(target.clone()))));
            name = target;
        }
        if reply.answers.is_empty() || reply.metadata.response_code == ResponseCode::NXDomain {
            reply.add_authority(self.authority());
        }
    }

    fn resource(&self, name: &Name, data: RData) -> Resource {
        Resource::from_rdata(name.clone(), self.ttl.0, data)
    }

    /// RFC 2308 §3: the SOA whose minimum says how long "there is none" lives.
    fn authority(&self) -> Resource {
        let negative = self.ttl.1;
        let soa = SOA::new(Name::root(), Name::root(), 1, 60, 60, 60, negative);
        Resource::from_rdata(Name::root(), negative, RData::SOA(soa))
    }

    /// A name above one that exists, exists too (RFC 8020).
    fn has_children(&self, name: &Name) -> bool {
        let suffix = format!(".{}", key(&name.to_ascii()));
        self.records.keys().any(|held| held.ends_with(&suffix))
    }
}

/// The longest string of a TXT record (RFC 1035 §3.3).
const TXT_STRING: usize = 255;

fn resource_data(record: &Record) -> Option<RData> {
    let absolute = |text: &str| {
        let mut name = Name::from_ascii(text).ok()?;
        name.set_fqdn(true);
        Some(name)
    };
    Some(match record {
        Record::A(address) => RData::A(A(*address)),
        Record::Aaaa(address) => RData::AAAA(AAAA(*address)),
        Record::Mx(preference, host) => RData::MX(MX::new(*preference, absolute(host)?)),
        Record::Cname(target) => RData::CNAME(CNAME(absolute(target)?)),
        Record::Txt(text) => RData::TXT(TXT::from_bytes(
            text.as_bytes().chunks(TXT_STRING).collect(),
        )),
        Record::Other(data) => data.clone(),
        Record::Ptr(host) => RData::PTR(PTR(absolute(host)?)),
    })
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// A UDP and a TCP socket on the same free port. Another process may hold one of a pair, so a few are tried.
async fn bind() -> io::Result<(UdpSocket, TcpListener)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..16 {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((udp, tcp)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn serve_udp(socket: UdpSocket, zones: Arc<Mutex<Zones>>) {
    let mut buffer = vec![0; 4096];
    loop {
        // An ICMP error of an earlier answer is reported here; the socket lives on.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let answer = zones.lock().answer(&buffer[..length], true);
        if let Some(answer) = answer {
            // An asker that has gone needs no answer.
            let _gone = socket.send_to(&answer, from).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, zones: Arc<Mutex<Zones>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(stream, zones.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// RFC 1035 §4.2.2: messages with a two-octet length in front, until the asker closes.
async fn converse(mut stream: TcpStream, zones: Arc<Mutex<Zones>>) -> io::Result<()> {
    loop {
        let mut question = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut question).await?;
        let answer = zones.lock().answer(&question, false);
        let Some(answer) = answer else { continue };
        let mut framed = u16::try_from(answer.len())
            .unwrap_or_default()
            .to_be_bytes()
            .to_vec();
        framed.extend_from_slice(&answer);
        stream.write_all(&framed).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(server: &DnsServer, name: &str, kind: RecordType) -> Option<Message> {
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        let octets = question.to_vec().unwrap();
        let answer = server.zones.lock().answer(&octets, true)?;
        Some(Message::from_vec(&answer).unwrap())
    }

    #[tokio::test]
    async fn it_answers_follows_aliases_and_denies() {
        let server = DnsServer::start().await.unwrap();
        server
            .add("a.test", Record::Cname("b.test".into()))
            .add("b.test", Record::A(Ipv4Addr::new(192, 0, 2, 1)));
        let answer = ask(&server, "A.test.", RecordType::A).await.unwrap();
        assert_eq!(answer.answers.len(), 2);
        let none = ask(&server, "b.test.", RecordType::MX).await.unwrap();
        assert_eq!(none.metadata.response_code, ResponseCode::NoError);
        assert_eq!(none.authorities.len(), 1);
        let no_name = ask(&server, "c.test.", RecordType::A).await.unwrap();
        assert_eq!(no_name.metadata.response_code, ResponseCode::NXDomain);
        let parent = ask(&server, "test.", RecordType::A).await.unwrap();
        assert_eq!(parent.metadata.response_code, ResponseCode::NoError);
        assert_eq!(server.queries("a.test"), 1);
    }

    #[tokio::test]
    async fn faults_are_per_name_or_for_all() {
        let server = DnsServer::start().await.unwrap();
        server.add("a.test", Record::A(Ipv4Addr::LOCALHOST));
        server.fail("a.test", Fault::ServFail);
        let failed = ask(&server, "a.test.", RecordType::A).await.unwrap();
        assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
        server.heal("a.test").fail_all(Some(Fault::Silent));
        assert!(ask(&server, "a.test.", RecordType::A).await.is_none());
        server.fail_all(None);
        let healed = ask(&server, "a.test.", RecordType::A).await.unwrap();
        assert_eq!(healed.answers.len(), 1);
    }
}
