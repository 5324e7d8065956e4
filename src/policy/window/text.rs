//! Windows as written.

use super::{DAY, Days, Minute, SendWindow, SendWindows};
use crate::units;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::str::FromStr;

/// The text is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAWindow {
    #[error(
        "\"{0}\" is not a window: write days (or none for all), hours and a time zone, such as \"mon-fri 08:00-22:00 Europe/Berlin\""
    )]
    Shape(String),
    #[error(
        "\"{0}\" has no time zone: write whose hours they are, such as \"{0} Europe/Berlin\" or \"{0} UTC\""
    )]
    NoZone(String),
    #[error("there is no time zone \"{zone}\": {remedy}")]
    UnknownZone { zone: String, remedy: String },
    #[error("\"{0}\" are not days: write such as \"mon-fri\", \"sat,sun\" or \"mon,wed-fri\"")]
    Days(String),
    #[error(
        "\"{0}\" are not hours: write two times of day such as \"08:00-22:00\", \"22:00-06:00\" over midnight, or \"00:00-24:00\""
    )]
    Hours(String),
    #[error("\"{0}\" closes when it opens: write \"00:00-24:00\" for whole days")]
    Empty(String),
}

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// How many zones are offered in place of one that does not exist.
const OFFERED: usize = 3;
/// Shorter names resemble too many others.
const TELLING: usize = 5;

impl FromStr for SendWindow {
    type Err = NotAWindow;

    fn from_str(text: &str) -> Result<Self, NotAWindow> {
        let text = text.trim();
        let (rest, zone) = text.rsplit_once(char::is_whitespace).unwrap_or(("", text));
        if zone.contains(':') {
            return Err(NotAWindow::NoZone(text.to_owned()));
        }
        let (days, hours) = match rest.find(|c: char| c.is_ascii_digit()) {
            Some(at) => rest.split_at(at),
            None => return Err(NotAWindow::Shape(text.to_owned())),
        };
        let (opens, closes) = read_hours(&without_spaces(hours))?;
        Ok(Self {
            days: read_days(&without_spaces(days))?,
            opens,
            closes,
            zone: read_zone(zone)?,
        })
    }
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect()
}

fn read_days(text: &str) -> Result<Days, NotAWindow> {
    if text.is_empty() {
        return Ok(Days::ALL);
    }
    let days = text.split(',').map(read_range);
    let days: Option<Vec<u8>> = days.collect();
    let days = days.ok_or_else(|| NotAWindow::Days(text.to_owned()))?;
    Ok(Days(days.into_iter().fold(0, |all, some| all | some)))
}

/// One day, or from one to another, over Sunday too.
fn read_range(text: &str) -> Option<u8> {
    let number = |name: &str| NAMES.iter().position(|n| n.eq_ignore_ascii_case(name));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    let count = (last + 7 - first) % 7;
    let days = (first..=first + count).map(|day| 1 << (day % 7));
    Some(days.fold(0, |all, day: u8| all | day))
}

fn read_hours(text: &str) -> Result<(Minute, Minute), NotAWindow> {
    let hours = || NotAWindow::Hours(text.to_owned());
    let (opens, closes) = text.split_once('-').ok_or_else(hours)?;
    let opens = read_time(opens).filter(|at| *at < DAY).ok_or_else(hours)?;
    let closes = read_time(closes).ok_or_else(hours)?;
    if opens == closes {
        return Err(NotAWindow::Empty(text.to_owned()));
    }
    Ok((opens, closes))
}

fn read_time(text: &str) -> Option<Minute> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = (1..=2).contains(&hour.len()) && minute.len() == 2;
    if !fits || !digits(hour) || !digits(minute) {
        return None;
    }
    let (hour, minute): (Minute, Minute) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
}

fn read_zone(name: &str) -> Result<TimeZone, NotAWindow> {
    if name.eq_ignore_ascii_case("UTC") {
        return Ok(TimeZone::UTC);
    }
    let zone = TimeZone::get(name).ok();
    // One without a name could not be written again.
    let zone = zone.filter(|zone| zone.iana_name().is_some());
    zone.ok_or_else(|| NotAWindow::UnknownZone {
        zone: name.to_owned(),
        remedy: remedy(name),
    })
}

fn remedy(name: &str) -> String {
    let known: Vec<String> = jiff::tz::db().available().map(|z| z.to_string()).collect();
    if known.is_empty() {
        return "this machine has no time zone database; install tzdata, or write \"UTC\"".into();
    }
    match nearest(name, &known).as_slice() {
        [] => "write a name of the IANA list, such as \"Europe/Berlin\"".into(),
        near => format!("did you mean \"{}\"?", near.join("\" or \"")),
    }
}

/// The zones that a name resembles most, as a whole or by their city.
fn nearest<'z>(name: &str, known: &'z [String]) -> Vec<&'z str> {
    let name = name.to_ascii_lowercase();
    if name.len() < TELLING {
        return Vec::new();
    }
    let distance = |zone: &str| {
        let zone = zone.to_ascii_lowercase();
        let city = zone.rsplit('/').next().unwrap_or_default();
        let whole = strsim::damerau_levenshtein(&name, &zone);
        whole.min(strsim::damerau_levenshtein(&name, city))
    };
    let by_distance = known.iter().map(|zone| (distance(zone), zone.as_str()));
    let mut near: Vec<(usize, &str)> = by_distance.filter(|(d, _)| *d <= name.len() / 4).collect();
    near.sort_unstable();
    near.truncate(OFFERED);
    let closest = near.first().map_or(0, |(distance, _)| *distance);
    let alike = near.into_iter().filter(|(d, _)| *d <= closest + 1);
    alike.map(|(_, zone)| zone).collect()
}

impl fmt::Display for SendWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != Days::ALL {
            write!(f, "{} ", self.days)?;
        }
        let time = |at: Minute| format!("{:02}:{:02}", at / 60, at % 60);
        let zone = self.zone.iana_name().unwrap_or("UTC");
        write!(f, "{}-{} {zone}", time(self.opens), time(self.closes))
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut day, mut between) = (0, "");
        while let Some(first) = NAMES.get(day) {
            let run = (self.0 >> day).trailing_ones() as usize;
            match (run, NAMES.get(day + run - usize::from(run > 0))) {
                (0, _) | (_, None) => {}
                (1, _) => write!(f, "{between}{first}")?,
                (2, Some(last)) => write!(f, "{between}{first},{last}")?,
                (_, Some(last)) => write!(f, "{between}{first}-{last}")?,
            }
            if run > 0 {
                between = ",";
            }
            day += run + 1;
        }
        Ok(())
    }
}

impl Serialize for SendWindow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SendWindow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl schemars::JsonSchema for SendWindow {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SendWindow".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let pattern = r"^([A-Za-z, -]+ )?[0-9]{1,2}:[0-9]{2} *- *[0-9]{1,2}:[0-9]{2} +[A-Za-z][A-Za-z0-9_+/-]*$";
        schemars::json_schema!({ "type": "string", "pattern": pattern })
    }
}

/// One as a text, several as a list.
impl Serialize for SendWindows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        units::write_one_or_more(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for SendWindows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a window such as \"08:00-22:00 Europe/Berlin\", or a list of windows";
        units::one_or_more(deserializer, expected).map(Self)
    }
}

impl schemars::JsonSchema for SendWindows {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SendWindows".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        units::one_or_more_schema::<SendWindow>(generator)
    }
}
