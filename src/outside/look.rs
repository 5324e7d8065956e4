//! One round of questions.

use super::book::{Heard, Subject, What};
use super::config::{Lists, Settings, Zone};
use crate::lint::facts::Reverse;
use crate::zone::ask::{Ask, Unknown};
use crate::zone::facts::SourceFact;
use crate::zone::look::Looked;
use crate::zone::reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tokio::task::JoinSet;

/// What was answered; what was not is left out.
#[derive(Debug, Default)]
pub struct Round {
    pub heard: Vec<Heard>,
    /// By source.
    pub reverses: BTreeMap<String, Reverse>,
}

/// What a list said.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    No,
    /// The answer and its meaning.
    Yes(String),
    /// The answer is none about what was asked: what is wrong, and what to do.
    Refused(String),
}

/// Questions in a row without an answer before a list is left alone until the next round.
const LOST: u32 = 3;
/// Characters of a list's own text that are told.
const LONGEST_TEXT: usize = 200;

/// Asks about everything.
pub async fn look(ask: &Ask, settings: &Arc<Settings>) -> Round {
    let mut asking = JoinSet::new();
    for at in 0..settings.zones.len() {
        let (ask, settings) = (ask.clone(), Arc::clone(settings));
        asking.spawn(async move {
            match settings.zones.get(at) {
                Some(zone) => of_zone(&ask, zone, &settings).await,
                None => Vec::new(),
            }
        });
    }
    let mut round = Round::default();
    for source in &settings.sources {
        of_source(ask, source, &mut round).await;
    }
    while let Some(done) = asking.join_next().await {
        match done {
            Ok(heard) => round.heard.extend(heard),
            Err(error) => tracing::error!(%error, "a blocklist was not asked"),
        }
    }
    // The same answers make the same events in the same order.
    round.heard.sort();
    round
}

async fn of_source(ask: &Ask, source: &SourceFact, round: &mut Round) {
    let SourceFact {
        name,
        address,
        ehlo,
    } = source;
    let looked = Looked::at(ask, source).await;
    let mut hear = |what, wrong| {
        let subject = Subject {
            what,
            name: name.clone(),
            address: Some(*address),
            zone: None,
        };
        round.heard.push(Heard { subject, wrong });
    };
    if let (Ok(names), Ok(back)) = (&looked.names, &looked.back) {
        let wrong = match (names.data.first(), back) {
            (_, Some(_)) => None,
            (Some(first), None) => Some(format!("the PTR {first} does not lead back to {address}")),
            (None, None) => Some(format!("{address} has no PTR")),
        };
        hear(What::Ptr, wrong);
        if let Ok(forward) = &looked.forward {
            let wrong = match back {
                _ if !forward.data.contains(address) => {
                    Some(format!("{ehlo} does not lead to {address}"))
                }
                Some(back) if back != ehlo => Some(format!("the PTR of {address} is {back}")),
                _ => None,
            };
            hear(What::Ehlo, wrong);
        }
    }
    if let Ok(reverse) = looked.reverse(source) {
        round.reverses.insert(name.clone(), reverse);
    }
}

/// Asks one list about everything that it may have, and says how the list itself does.
async fn of_zone(ask: &Ask, zone: &Zone, settings: &Settings) -> Vec<Heard> {
    let name = &zone.config.name;
    let asked: Vec<(Subject, String)> = match zone.config.lists {
        Lists::Addresses => {
            let of = |source: &SourceFact| (source.name.clone(), Some(source.address));
            let sources = settings.sources.iter().map(of);
            sources.map(|of| question(of, zone)).collect()
        }
        Lists::Domains => {
            let domains = settings.domains.iter();
            let domains = domains.map(|domain| question((domain.clone(), None), zone));
            domains.collect()
        }
    };
    let (mut heard, mut refused, mut answers, mut lost) = (Vec::new(), None, 0, 0);
    for (subject, question) in asked {
        match said(ask, zone, &question).await {
            Ok(Said::Refused(why)) => refused = refused.or(Some(why)),
            Ok(Said::No) => heard.push(Heard {
                subject,
                wrong: None,
            }),
            Ok(Said::Yes(detail)) => heard.push(Heard {
                subject,
                wrong: Some(detail),
            }),
            Err(Unknown(_)) => {
                lost += 1;
                if lost >= LOST {
                    break;
                }
                continue;
            }
        }
        (answers, lost) = (answers + 1, 0);
    }
    let mut of_list = |what, wrong| {
        let subject = Subject {
            what,
            name: name.clone(),
            address: None,
            zone: Some(name.clone()),
        };
        heard.push(Heard { subject, wrong });
    };
    let silent = format!("the name servers of {name} do not answer");
    of_list(
        What::Unanswered,
        (answers == 0 && lost > 0).then_some(silent),
    );
    if answers > 0 {
        of_list(What::Refused, refused);
    }
    heard
}

/// RFC 5782 §2.1, §2.4 and §3: the octets or nibbles backwards, or the domain, in front of the zone.
fn question((name, address): (String, Option<IpAddr>), zone: &Zone) -> (Subject, String) {
    let asked = match address {
        Some(address) => {
            let reverse = reverse(address);
            let bare = reverse.strip_suffix(".in-addr.arpa");
            let bare = bare.or_else(|| reverse.strip_suffix(".ip6.arpa"));
            format!("{}.{}", bare.unwrap_or(&reverse), zone.suffix)
        }
        None => format!("{name}.{}", zone.suffix),
    };
    let subject = Subject {
        what: What::Listed,
        name,
        address,
        zone: Some(zone.config.name.clone()),
    };
    (subject, asked)
}

async fn said(ask: &Ask, zone: &Zone, question: &str) -> Result<Said, Unknown> {
    let codes = ask.v4_addresses(question).await?.data;
    let said = judge(&codes, zone);
    if let Said::Yes(detail) = said {
        return believed(ask, zone, question, detail).await;
    }
    Ok(said)
}

/// A list that has what no list may have lists the world, as those do that were given up.
async fn believed(ask: &Ask, zone: &Zone, question: &str, detail: String) -> Result<Said, Unknown> {
    let nobody = match zone.config.lists {
        Lists::Addresses => "1.0.0.127",
        Lists::Domains => "invalid",
    };
    let nobody = ask
        .v4_addresses(&format!("{nobody}.{}", zone.suffix))
        .await?;
    if !nobody.data.is_empty() {
        let name = &zone.config.name;
        return Ok(Said::Refused(format!(
            "{name} lists everything, even what RFC 5782 §5 says no list has: take it out of [[outside.zone]]"
        )));
    }
    let texts = ask.texts(question).await.map(|texts| texts.data);
    let text = texts.unwrap_or_default().into_iter().next();
    Ok(Said::Yes(match text {
        Some(text) => {
            let text: String = text.chars().take(LONGEST_TEXT).collect();
            format!("{detail}: {text}")
        }
        None => detail,
    }))
}

/// What addresses of an answer mean.
fn judge(codes: &[Ipv4Addr], zone: &Zone) -> Said {
    let name = &zone.config.name;
    let refused = |code: &Ipv4Addr| Some(Said::Refused(refusal(*code, name)?));
    if let Some(refused) = codes.iter().find_map(refused) {
        return refused;
    }
    let mut told: Vec<String> = codes.iter().map(|code| meaning(*code, zone)).collect();
    told.sort();
    match told.is_empty() {
        true => Said::No,
        false => Said::Yes(told.join(", ")),
    }
}

fn meaning(code: Ipv4Addr, zone: &Zone) -> String {
    match zone.config.codes.get(&code) {
        Some(meaning) => format!("{code} {meaning}"),
        None => code.to_string(),
    }
}

/// What an answer that is no listing says of our asking, with what to do.
fn refusal(code: Ipv4Addr, zone: &str) -> Option<String> {
    let remedy = match code.octets() {
        [127, 255, 255, 252] => "there is no such list: mend the name in [[outside.zone]]",
        [127, 255, 255, 254] => {
            "it does not answer public resolvers: name a resolver of your own in [dns] nameservers, or a subscriber's \
             key in [[outside.zone]] key"
        }
        [127, 255, 255, 255] => {
            "it was asked too often from our resolver: subscribe and name the key in [[outside.zone]] key, or raise \
             [outside] every"
        }
        [127, 255, 255, _] => "it refuses to answer: see its documentation for that code",
        [127, 0, 0, 1] => {
            "it refuses our resolver: name a resolver of your own in [dns] nameservers, or subscribe"
        }
        [127, ..] => return None,
        _ => {
            "that is no answer of a list: the resolver rewrites answers, or the list was given up; name a resolver of \
             your own in [dns] nameservers, or take the list out of [[outside.zone]]"
        }
    };
    Some(format!("{zone} answers {code}: {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::super::config::Config;
    use super::*;

    fn zone() -> Zone {
        let config: Config = toml::from_str(
            "[[zone]]\nname = \"bl.test\"\ncodes = { \"127.0.0.2\" = \"spam source\" }\n",
        )
        .unwrap();
        let settings = config.settings(Vec::new(), Default::default()).unwrap();
        settings.zones.into_iter().next().unwrap()
    }

    #[test]
    fn questions_have_octets_and_nibbles_backwards() {
        let asked = |address: &str| question(("a".into(), address.parse().ok()), &zone()).1;
        assert_eq!(asked("192.0.2.10"), "10.2.0.192.bl.test");
        assert_eq!(
            asked("2001:db8::1"),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.test"
        );
        assert_eq!(asked("no address"), "a.bl.test");
    }

    #[test]
    fn only_answers_within_127_that_mean_a_listing_are_one() {
        let said = |codes: &[[u8; 4]]| {
            let codes: Vec<Ipv4Addr> = codes.iter().map(|code| (*code).into()).collect();
            judge(&codes, &zone())
        };
        assert_eq!(said(&[]), Said::No);
        assert_eq!(
            said(&[[127, 0, 0, 4], [127, 0, 0, 2]]),
            Said::Yes("127.0.0.2 spam source, 127.0.0.4".into())
        );
        for code in [
            [127, 255, 255, 252],
            [127, 255, 255, 254],
            [127, 255, 255, 255],
            [127, 255, 255, 7],
            [127, 0, 0, 1],
            [203, 0, 113, 9],
        ] {
            // Beside a listing too: whoever answers so is not to be believed.
            let answer = said(&[[127, 0, 0, 2], code]);
            let Said::Refused(why) = answer else {
                panic!("{code:?}: {answer:?}")
            };
            assert!(why.starts_with("bl.test answers "), "{why}");
        }
    }
}
