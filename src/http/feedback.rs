//! What platforms and others tell of mail that was delivered: opens, clicks, hits of spam traps.

use super::Control;
use super::body::Body;
use super::problem::Problem;
use crate::intake::is_name;
use crate::mail::{Address, Stream};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Items of one batch.
const MOST: usize = 1_000;
/// Octets of the name of an event.
const LONGEST: usize = 256;

/// One item of `POST /api/v1/feedback`: what happened, and to which mail.
///
/// `{"event": "e-17", "kind": "open", "id": "…", "recipient": "ann@example.net"}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Names the event among all that are ever told: one that was told within a week is not counted again.
    pub event: String,
    pub kind: Kind,
    /// The message, as the accepting reply and the events name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Which of its recipients, as it was given; wanted with `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Address>,
    /// In place of message and recipient: the token of a return path or of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// In place of all these: what is known of the mail.
    #[serde(flatten)]
    pub part: Part,
}

/// Mail that is not known by its message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Part {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<Box<str>>,
    /// `marketing` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Box<str>>,
    /// The return path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<Address>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Open,
    Click,
    /// Delivered to an address that nobody but a harvester writes to.
    Trap,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fed {
    pub counted: usize,
    /// Told before.
    pub repeated: usize,
    /// Not counted; the others were.
    pub errors: Vec<Unfed>,
}

/// An item that was not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfed {
    /// In the batch, from 0.
    pub index: usize,
    pub error: String,
}

impl Told {
    /// # Errors
    /// What is wrong with it, and what to write.
    fn validate(&self) -> Result<(), String> {
        if self.event.is_empty() || self.event.len() > LONGEST {
            return Err(format!("event has 1 to {LONGEST} octets"));
        }
        let names = [
            ("tenant", &self.part.tenant),
            ("campaign", &self.part.campaign),
            ("pool", &self.part.pool),
            ("source", &self.part.source),
            ("provider", &self.part.provider),
        ];
        let is_wrong = |name: &Option<Box<str>>| name.as_deref().is_some_and(|name| !is_name(name));
        if let Some((field, _)) = names.iter().find(|(_, name)| is_wrong(name)) {
            return Err(format!("{field}: a name has 1 to 128 printable characters"));
        }
        let ways = [
            self.id.is_some(),
            self.token.is_some(),
            self.part != Part::default(),
        ];
        match ways.into_iter().filter(|given| *given).count() {
            1 if self.recipient.is_some() && self.token.is_some() => {
                Err("a token names the recipient: leave recipient out".to_owned())
            }
            1 if self.id.is_some() && self.recipient.is_none() => Err(
                "recipient: write which of the message's recipients, as it was given".to_owned(),
            ),
            1 => Ok(()),
            0 => Err(
                "write which mail: id, or token, or tenant, campaign, source and such".to_owned(),
            ),
            _ => Err(
                "write id, or token, or tenant, campaign and such, and no two of them".to_owned(),
            ),
        }
    }
}

/// Takes one item, or `{"events": […]}`.
pub(super) async fn take<C: Control>(
    State(control): State<Arc<C>>,
    body: Result<Body<Value>, Problem>,
) -> Result<Json<Fed>, Problem> {
    let Body(mut body) = body?;
    let Some(events) = body.get_mut("events").map(Value::take) else {
        return one(&*control, body).await;
    };
    let Value::Array(items) = events else {
        return Err(Problem::bad_request("\"events\" is a list"));
    };
    if items.len() > MOST {
        let why = format!("a batch has at most {MOST} events: send several");
        return Err(Problem(StatusCode::PAYLOAD_TOO_LARGE, why));
    }
    let (mut told, mut places, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        match read(item) {
            Ok(item) => {
                told.push(item);
                places.push(index);
            }
            Err(error) => errors.push(Unfed { index, error }),
        }
    }
    let mut fed = control.feed(&told).await?;
    for unfed in &mut fed.errors {
        unfed.index = places.get(unfed.index).copied().unwrap_or(unfed.index);
    }
    fed.errors.extend(errors);
    fed.errors.sort_by_key(|unfed| unfed.index);
    Ok(Json(fed))
}

async fn one<C: Control>(control: &C, item: Value) -> Result<Json<Fed>, Problem> {
    let unprocessable = |error| Problem(StatusCode::UNPROCESSABLE_ENTITY, error);
    let told = read(item).map_err(unprocessable)?;
    let mut fed = control.feed(&[told]).await?;
    match fed.errors.pop() {
        Some(unfed) => Err(unprocessable(unfed.error)),
        None => Ok(Json(fed)),
    }
}

fn read(item: Value) -> Result<Told, String> {
    let told: Told = serde_json::from_value(item).map_err(|error| error.to_string())?;
    told.validate()?;
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn each_names_its_mail_in_one_way() {
        let with = |more: Value| {
            let mut item = json!({ "event": "e", "kind": "open" });
            let more = more.as_object().unwrap().clone();
            item.as_object_mut().unwrap().extend(more);
            read(item)
        };
        assert!(with(json!({ "id": "x", "recipient": "a@b.test" })).is_ok());
        assert!(with(json!({ "token": "x" })).is_ok());
        assert!(with(json!({ "source": "ip-a", "provider": "google" })).is_ok());
        for (more, said) in [
            (json!({}), "write which mail"),
            (json!({ "id": "x" }), "recipient"),
            (json!({ "id": "x", "token": "y" }), "no two of them"),
            (
                json!({ "token": "x", "recipient": "a@b.test" }),
                "leave recipient out",
            ),
            (json!({ "token": "x", "colour": "red" }), "colour"),
            (json!({ "event": "", "token": "x" }), "octets"),
            (json!({ "kind": "sneeze", "token": "x" }), "sneeze"),
        ] {
            let error = with(more).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_item_is_too_strange_to_be_refused(text in any::<String>(), n in any::<i64>()) {
            for item in [json!(text), json!(n), json!([text]), json!({ "event": text, "kind": text })] {
                prop_assert!(read(item).is_err());
            }
        }
    }
}
