//! Daily figures that mailbox providers give of our mail: Google Postmaster Tools, Microsoft SNDS.
//!
//! Each provider has names of its own; here they are in snake case, and shares go from 0 to 1.

mod csv;
mod google;
mod snds;

pub use self::csv::{is_csv, read as csv};
pub use google::{is_postmaster, read as postmaster};

use super::period::Day;
use super::{Unreadable, text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Whose figures they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// By domain.
    Postmaster,
    /// By address.
    Snds,
}

impl Provider {
    pub fn name(self) -> &'static str {
        match self {
            Self::Postmaster => "postmaster",
            Self::Snds => "snds",
        }
    }
}

/// What a file says, one [`Figure`] a subject and day.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    pub provider: Provider,
    pub figures: Vec<Figure>,
}

/// What is said of one domain or address on one day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// A domain or an address of ours; `None` where the file does not say.
    pub subject: Option<String>,
    pub day: Day,
    pub values: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Number(f64),
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Figures of a file, and values of a figure.
const MOST_FIGURES: usize = 10_000;
const MOST_VALUES: usize = 64;
/// Octets of a file of figures.
const LARGEST: usize = 4 << 20;
/// Octets of a name or a text.
const LONGEST: usize = 128;

/// Figures as they are gathered, by subject and day.
#[derive(Default)]
struct Gathered(BTreeMap<(Option<String>, Day), BTreeMap<String, Value>>);

impl Gathered {
    /// The values of a subject on a day, to be added to.
    fn of(
        &mut self,
        subject: Option<String>,
        day: Day,
    ) -> Result<&mut BTreeMap<String, Value>, Unreadable> {
        if self.0.len() >= MOST_FIGURES {
            return Err(Unreadable::new(format!(
                "there are more than {MOST_FIGURES} days of figures"
            )));
        }
        Ok(self.0.entry((subject, day)).or_default())
    }

    fn finish(self, provider: Provider) -> Result<Figures, Unreadable> {
        let figures = self.0.into_iter();
        let figures = figures.filter(|(_, values)| !values.is_empty());
        let figures: Vec<Figure> = figures
            .map(|((subject, day), values)| Figure {
                subject,
                day,
                values,
            })
            .collect();
        match figures.is_empty() {
            true => Err(Unreadable::new("there is no figure of a day in it")),
            false => Ok(Figures { provider, figures }),
        }
    }
}

/// Adds a value, as far as there is room.
fn put(values: &mut BTreeMap<String, Value>, name: &str, value: Value) {
    let name = snake(name);
    if !name.is_empty() && (values.len() < MOST_VALUES || values.contains_key(&name)) {
        values.insert(name, value);
    }
}

fn check_size(document: &str) -> Result<(), Unreadable> {
    match document.len() > LARGEST {
        true => Err(Unreadable::new(format!(
            "it has {} octets; {LARGEST} of figures are read at most",
            document.len()
        ))),
        false => Ok(()),
    }
}

/// A cell: `12`, `1,234`, `0.3%` (a share), or a text.
fn value(cell: &str) -> Option<Value> {
    let cell = cell.trim();
    if cell.is_empty() {
        return None;
    }
    let number = |text: &str| -> Option<f64> {
        let number: f64 = text.trim().replace(',', "").parse().ok()?;
        number.is_finite().then_some(number)
    };
    let share = cell.strip_suffix('%').and_then(number);
    let parsed = share.map(|share| share / 100.0).or_else(|| number(cell));
    Some(parsed.map_or_else(
        || Value::Text(text::cut(cell, LONGEST).to_owned()),
        Value::Number,
    ))
}

/// `userReportedSpamRatio`, `User-reported spam rate` → `user_reported_spam_rate`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    let mut before = ' ';
    for c in text::cut(name, LONGEST).chars() {
        let begins =
            c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit());
        let c_is_word = c.is_alphanumeric() || c == '.';
        if (begins || !c_is_word) && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        if c_is_word {
            snake.extend(c.to_lowercase());
        }
        before = c;
    }
    snake.trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests;
