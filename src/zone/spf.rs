//! SPF records as far as they say which addresses may send (RFC 7208): read with everything they include, counted, and
//! flattened.
//!
//! This is no evaluation for a message that came in: macros depend on the message, so terms with them are *unclear*.

use super::ask::{Ask, Unknown};
use super::facts::mechanism;
use crate::auth::tags::claims;
use ipnet::IpNet;
use std::net::IpAddr;
use std::pin::Pin;

/// Terms that ask DNS, of a record and everything it includes (RFC 7208 §4.6.4).
pub const MOST_LOOKUPS: usize = 10;
/// Of those, the ones that find nothing.
pub const MOST_VOIDS: usize = 2;
/// Beyond it nobody counts any more.
const END_OF_COUNTING: usize = 40;
/// Addresses of one MX term's hosts that are looked up (RFC 7208 §4.6.4).
const MOST_HOSTS: usize = 10;

/// What an address is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail,
    SoftFail,
    Neutral,
    /// A macro, `exists` or `ptr` decides.
    Unclear,
}

/// One record, with what it includes.
#[derive(Debug, Clone, Default)]
pub struct Spf {
    terms: Vec<(Qualifier, Term)>,
    redirect: Option<Box<Spf>>,
    /// Questions it takes, all in all; at most [`END_OF_COUNTING`] are counted.
    pub lookups: usize,
    pub voids: usize,
    /// Why receivers call the record broken (PermError).
    pub mistakes: Vec<String>,
}

type Qualifier = Verdict;

#[derive(Debug, Clone)]
enum Term {
    Networks(Vec<IpNet>),
    Include(Spf),
    All,
    Unclear,
}

/// What was counted on the way.
#[derive(Default)]
struct Count {
    lookups: usize,
    voids: usize,
}

/// Reads a record that stands at `domain`.
///
/// # Errors
/// The name servers did not answer for something it includes.
pub async fn read(ask: &Ask, domain: &str, text: &str) -> Result<Spf, Unknown> {
    let mut count = Count::default();
    let mut spf = parse(ask, domain, text, &mut count).await?;
    spf.lookups = count.lookups;
    spf.voids = count.voids;
    Ok(spf)
}

/// The SPF records among the texts of a name.
pub fn among(texts: &[String]) -> Vec<&String> {
    let is_spf = |text: &&String| claims(text, "spf1");
    texts.iter().filter(is_spf).collect()
}

impl Spf {
    pub fn verdict(&self, address: IpAddr) -> Verdict {
        for (qualifier, term) in &self.terms {
            let matches = match term {
                Term::All => true,
                Term::Networks(networks) => networks.iter().any(|net| net.contains(&address)),
                Term::Include(inner) => match inner.verdict(address) {
                    Verdict::Unclear => return Verdict::Unclear,
                    inner => inner == Verdict::Pass,
                },
                Term::Unclear => return Verdict::Unclear,
            };
            if matches {
                return *qualifier;
            }
        }
        let redirect = self.redirect.as_ref();
        redirect.map_or(Verdict::Neutral, |redirect| redirect.verdict(address))
    }

    /// How it answers everybody else; `None` where nothing says so, which is neutral.
    pub fn end(&self) -> Option<Verdict> {
        let all = self
            .terms
            .iter()
            .find(|(_, term)| matches!(term, Term::All));
        let own = all.map(|(qualifier, _)| *qualifier);
        own.or_else(|| self.redirect.as_ref()?.end())
    }

    /// The networks that pass, as mechanisms; `None` where they cannot be told without the message, or where some are
    /// excepted.
    pub fn flat(&self) -> Option<Vec<String>> {
        let mut networks = Vec::new();
        self.add_flat(&mut networks).then_some(())?;
        let mut mechanisms: Vec<String> = networks.iter().map(network).collect();
        mechanisms.sort();
        mechanisms.dedup();
        Some(mechanisms)
    }

    fn add_flat(&self, flat: &mut Vec<IpNet>) -> bool {
        for (qualifier, term) in &self.terms {
            match (qualifier, term) {
                (Verdict::Pass, Term::Networks(networks)) => flat.extend(networks),
                (Verdict::Pass, Term::Include(inner)) if inner.add_flat(flat) => {}
                // Everybody, which no list of networks says.
                (Verdict::Pass, Term::All) => return false,
                (_, Term::All) => return true,
                _ => return false,
            }
        }
        self.redirect.as_ref().is_none_or(|to| to.add_flat(flat))
    }
}

/// `ip4:192.0.2.0/24`, without the length where it is one address.
fn network(net: &IpNet) -> String {
    let address = mechanism(net.addr());
    match net.prefix_len() == net.max_prefix_len() {
        true => address,
        false => format!("{address}/{}", net.prefix_len()),
    }
}

type Reading<'a> = Pin<Box<dyn Future<Output = Result<Spf, Unknown>> + Send + 'a>>;

fn parse<'a>(ask: &'a Ask, domain: &'a str, text: &'a str, count: &'a mut Count) -> Reading<'a> {
    Box::pin(async move {
        let mut spf = Spf::default();
        let mut redirect = None;
        for word in text.split(' ').filter(|word| !word.is_empty()).skip(1) {
            if let Some(to) = strip(word, "redirect=") {
                redirect = Some(to);
            } else if is_modifier(word) {
                continue;
            } else if let Some(term) = term(ask, domain, word, count, &mut spf.mistakes).await? {
                spf.terms.push((qualifier(word).0, term));
            }
        }
        let has_all = spf.terms.iter().any(|(_, term)| matches!(term, Term::All));
        if let Some(to) = redirect.filter(|_| !has_all) {
            let target = include(ask, to, count, &mut spf.mistakes).await?;
            spf.redirect = target.map(Box::new);
        }
        Ok(spf)
    })
}

/// One mechanism; `None` where it is a mistake, which is noted.
async fn term(
    ask: &Ask,
    domain: &str,
    word: &str,
    count: &mut Count,
    mistakes: &mut Vec<String>,
) -> Result<Option<Term>, Unknown> {
    let (_, bare) = qualifier(word);
    let (name, argument) = match bare.find([':', '/']) {
        Some(at) => bare.split_at(at),
        None => (bare, ""),
    };
    let value = argument.strip_prefix(':');
    let name = name.to_ascii_lowercase();
    if value.is_some_and(|value| value.contains('%')) || matches!(name.as_str(), "exists" | "ptr") {
        count.lookups += 1;
        return Ok(Some(Term::Unclear));
    }
    Ok(match (name.as_str(), value) {
        ("all", None) => Some(Term::All),
        ("ip4" | "ip6", Some(value)) => match parse_network(&name, value) {
            Some(network) => Some(Term::Networks(vec![network])),
            None => wrong(word, mistakes),
        },
        ("include", Some(target)) => {
            let inner = include(ask, target, count, mistakes).await?;
            inner.map(Term::Include)
        }
        ("a" | "mx", _) => match Target::of(domain, argument) {
            Some(target) => Some(Term::Networks(target.look_up(ask, &name, count).await?)),
            None => wrong(word, mistakes),
        },
        _ => wrong(word, mistakes),
    })
}

fn wrong(word: &str, mistakes: &mut Vec<String>) -> Option<Term> {
    mistakes.push(format!("\"{word}\" is no mechanism"));
    None
}

/// The record of another domain; `None` where it has not exactly one, which breaks the record that names it.
async fn include(
    ask: &Ask,
    target: &str,
    count: &mut Count,
    mistakes: &mut Vec<String>,
) -> Result<Option<Spf>, Unknown> {
    count.lookups += 1;
    if count.lookups > END_OF_COUNTING || target.contains('%') {
        return Ok(Some(Spf {
            terms: vec![(Verdict::Pass, Term::Unclear)],
            ..Spf::default()
        }));
    }
    let answer = ask.texts(target).await?;
    if answer.data.is_empty() {
        count.voids += 1;
    }
    match among(&answer.data).as_slice() {
        [one] => {
            let inner = parse(ask, target, one, count).await?;
            mistakes.extend(inner.mistakes.iter().map(|m| format!("{m} (in {target})")));
            Ok(Some(inner))
        }
        records => {
            mistakes.push(format!("{target} has {} SPF records", records.len()));
            Ok(None)
        }
    }
}

/// What `a` and `mx` are about.
struct Target<'a> {
    name: &'a str,
    v4: u8,
    v6: u8,
}

impl<'a> Target<'a> {
    /// `:example.com/24//64`, every part of which may be missing.
    fn of(domain: &'a str, argument: &'a str) -> Option<Self> {
        let (argument, v6) = match argument.split_once("//") {
            Some((before, length)) => (before, length.parse().ok()?),
            None => (argument, 128),
        };
        let (name, v4) = match argument.split_once('/') {
            Some((before, length)) => (before, length.parse().ok()?),
            None => (argument, 32),
        };
        let name = match name.strip_prefix(':') {
            Some("") => return None,
            Some(name) => name,
            None => domain,
        };
        (v4 <= 32 && v6 <= 128).then_some(Self { name, v4, v6 })
    }

    async fn look_up(
        &self,
        ask: &Ask,
        kind: &str,
        count: &mut Count,
    ) -> Result<Vec<IpNet>, Unknown> {
        count.lookups += 1;
        if count.lookups > END_OF_COUNTING {
            return Ok(Vec::new());
        }
        let mut hosts = vec![self.name.to_owned()];
        if kind == "mx" {
            let answer = ask.exchanges(self.name).await?;
            hosts = answer.data.into_iter().map(|(_, host)| host).collect();
            hosts.truncate(MOST_HOSTS);
        }
        let mut networks = Vec::new();
        for host in hosts {
            let answer = ask.addresses(&host).await?;
            networks.extend(
                answer
                    .data
                    .iter()
                    .filter_map(|address| self.network(*address)),
            );
        }
        if networks.is_empty() {
            count.voids += 1;
        }
        Ok(networks)
    }

    fn network(&self, address: IpAddr) -> Option<IpNet> {
        let length = if address.is_ipv4() { self.v4 } else { self.v6 };
        Some(IpNet::new(address, length).ok()?.trunc())
    }
}

fn parse_network(kind: &str, text: &str) -> Option<IpNet> {
    let net: IpNet = match text.contains('/') {
        true => text.parse().ok()?,
        false => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    (net.addr().is_ipv4() == (kind == "ip4")).then(|| net.trunc())
}

fn qualifier(word: &str) -> (Qualifier, &str) {
    let rest = |sign| word.strip_prefix(sign);
    None.or(rest('-').map(|rest| (Verdict::Fail, rest)))
        .or(rest('~').map(|rest| (Verdict::SoftFail, rest)))
        .or(rest('?').map(|rest| (Verdict::Neutral, rest)))
        .or(rest('+').map(|rest| (Verdict::Pass, rest)))
        .unwrap_or((Verdict::Pass, word))
}

/// `name=value`, of which unknown ones are passed over (RFC 7208 §6).
fn is_modifier(word: &str) -> bool {
    let name = word.split('=').next().unwrap_or_default();
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    name.len() < word.len() && begins && name.bytes().all(plain)
}

fn strip<'a>(word: &'a str, prefix: &str) -> Option<&'a str> {
    let head = word.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &word[prefix.len()..])
}
