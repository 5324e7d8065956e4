//! Google Postmaster Tools: `trafficStats` of its API v1, `domainStats` of v2, as JSON.

use super::super::Unreadable;
use super::super::period::Day;
use super::super::text;
use super::{Figures, Gathered, Provider, Value, check_size, put};
use jiff::civil::Date;
use memchr::memmem;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// How deep answers may be in lists of answers: a batch is a list of answers, each with a list.
const DEEPEST: usize = 8;

/// Whether JSON is an answer of that API.
pub fn is_postmaster(document: &str) -> bool {
    let has = |what: &str| memmem::find(document.as_bytes(), what.as_bytes()).is_some();
    has("domainStats") || has("trafficStats")
}

/// Reads an answer: one day, a list of days, or a batch of lists.
///
/// # Errors
/// It is no JSON, or has no day in it.
pub fn read(document: &str) -> Result<Figures, Unreadable> {
    check_size(document)?;
    let json: Json = serde_json::from_str(document)
        .map_err(|error| Unreadable::new(format!("it is no JSON: {error}")))?;
    let mut gathered = Gathered::default();
    gather(&json, &mut gathered, DEEPEST)?;
    gathered.finish(Provider::Postmaster)
}

fn gather(json: &Json, gathered: &mut Gathered, depth: usize) -> Result<(), Unreadable> {
    let Some(deeper) = depth.checked_sub(1) else {
        return Ok(());
    };
    if let Some(list) = json.as_array() {
        return list
            .iter()
            .try_for_each(|one| gather(one, gathered, deeper));
    }
    for key in ["trafficStats", "domainStats", "results", "response"] {
        if let Some(inner) = json.get(key) {
            gather(inner, gathered, deeper)?;
        }
    }
    let Some(name) = json.get("name").and_then(Json::as_str) else {
        return Ok(());
    };
    let mut parts = name.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("domains"), Some(domain), Some("trafficStats"), Some(date)) => {
            let values = gathered.of(Some(domain_of(domain)?), compact(date)?)?;
            traffic(json, values);
        }
        (Some("domains"), Some(domain), Some("domainStats"), _) => {
            // Without a day it is the sum of a period.
            if let Some(day) = json.get("date").and_then(day) {
                let values = gathered.of(Some(domain_of(domain)?), day)?;
                statistic(json, values);
            }
        }
        _ => {}
    }
    Ok(())
}

fn domain_of(name: &str) -> Result<String, Unreadable> {
    text::domain(name)
        .ok_or_else(|| Unreadable::new(format!("\"{}\" is no domain", text::cut(name, 64))))
}

/// `20261126`
fn compact(date: &str) -> Result<Day, Unreadable> {
    let day = Date::strptime("%Y%m%d", date).ok().and_then(Day::of_date);
    day.ok_or_else(|| Unreadable::new(format!("\"{}\" is no day", text::cut(date, 64))))
}

/// `{"year": 2026, "month": 11, "day": 26}`
fn day(date: &Json) -> Option<Day> {
    let part = |name: &str| date.get(name)?.as_i64();
    let year = i16::try_from(part("year")?).ok()?;
    let month = i8::try_from(part("month")?).ok()?;
    let day = i8::try_from(part("day")?).ok()?;
    Day::of_date(Date::new(year, month, day).ok()?)
}

/// A day of v1. Its names are those of the API, but for the ones that v2 has too.
fn traffic(json: &Json, values: &mut BTreeMap<String, Value>) {
    let lists = [
        ("ipReputations", "ip_reputation", "reputation", "ipCount"),
        (
            "deliveryErrors",
            "delivery_error",
            "errorType",
            "errorRatio",
        ),
        ("spammyFeedbackLoops", "feedback_loop", "id", "spamRatio"),
    ];
    for (key, name, by, of) in lists {
        let entries = json.get(key).and_then(Json::as_array);
        for entry in entries.into_iter().flatten() {
            let by = entry.get(by).and_then(Json::as_str);
            let value = entry.get(of).and_then(number);
            if let (Some(by), Some(value)) = (by, value) {
                put(
                    values,
                    &format!("{name}.{}", by.to_lowercase()),
                    Value::Number(value),
                );
            }
        }
    }
    for (key, value) in json.as_object().into_iter().flatten() {
        let name = match key.as_str() {
            "name" => continue,
            "userReportedSpamRatio" => "spam_rate",
            key => key,
        };
        if let Some(value) = scalar(value) {
            put(values, name, value);
        }
    }
}

/// One metric of a day of v2.
fn statistic(json: &Json, values: &mut BTreeMap<String, Value>) {
    let metric = json.get("metric").and_then(Json::as_str);
    let kinds = json.get("value").and_then(Json::as_object);
    let value = kinds.and_then(|kinds| kinds.values().find_map(scalar));
    if let (Some(metric), Some(value)) = (metric, value) {
        put(values, metric, value);
    }
}

fn scalar(json: &Json) -> Option<Value> {
    if let Some(number) = number(json) {
        return Some(Value::Number(number));
    }
    let text = match json {
        Json::String(text) => text.clone(),
        Json::Object(list) => {
            let values = list.get("values")?.as_array()?.iter();
            values
                .filter_map(Json::as_str)
                .collect::<Vec<_>>()
                .join(" ")
        }
        _ => return None,
    };
    Some(Value::Text(text::cut(&text, super::LONGEST).to_owned()))
}

/// Large numbers are written as texts.
fn number(json: &Json) -> Option<f64> {
    let number = match json {
        Json::String(text) => text.parse().ok()?,
        other => other.as_f64()?,
    };
    number.is_finite().then_some(number)
}
