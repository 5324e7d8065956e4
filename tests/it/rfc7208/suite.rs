//! The file of cases.

use serde::Deserialize;
use std::collections::BTreeMap;

/// A world, and what is asked in it.
#[derive(Debug, Deserialize)]
pub struct Scenario {
    pub tests: BTreeMap<String, Case>,
    pub zonedata: BTreeMap<String, Vec<Entry>>,
}

#[derive(Debug, Deserialize)]
pub struct Case {
    pub helo: String,
    pub host: String,
    pub mailfrom: String,
    #[serde(deserialize_with = "one_or_several")]
    pub result: Vec<String>,
    #[serde(default)]
    pub explanation: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Entry {
    /// `TIMEOUT`.
    Word(String),
    /// Type and data of one record.
    Record(BTreeMap<String, Data>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Data {
    Text(String),
    /// The strings of a text, or preference and host of an MX.
    Strings(Vec<String>),
}

pub fn read() -> Vec<Scenario> {
    serde_json::from_str(include_str!("suite.json")).expect("the suite can be read")
}

impl Scenario {
    /// What is published as TXT at a name: records of type SPF stand for TXT too, unless there is a TXT of any kind
    /// (`NONE` says that there is not).
    pub fn texts<'e>(entries: &'e [Entry]) -> Vec<Vec<u8>> {
        let of = |wanted: &str| -> Vec<&'e Data> {
            let records = entries.iter().filter_map(|entry| match entry {
                Entry::Record(record) => record.get(wanted),
                Entry::Word(_) => None,
            });
            records.collect()
        };
        let mut texts = of("TXT");
        if texts.is_empty() {
            texts = of("SPF");
        }
        let texts = texts
            .into_iter()
            .filter(|data| !matches!(data, Data::Text(text) if text == "NONE"));
        texts.map(Data::octets).collect()
    }
}

impl Data {
    /// A character of the file is an octet of the record.
    fn octets(&self) -> Vec<u8> {
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::Strings(strings) => strings.concat(),
        };
        text.chars()
            .map(|c| u8::try_from(u32::from(c)).expect("an octet"))
            .collect()
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            other => panic!("{other:?} is not a text"),
        }
    }
}

fn one_or_several<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Results {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Results::deserialize(deserializer)? {
        Results::One(result) => vec![result],
        Results::Several(results) => results,
    })
}
