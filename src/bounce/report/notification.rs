//! Notifications that a sending service writes as JSON into a mail (Amazon SNS about SES).

use super::evidence::Evidence;
use super::mime::{Message, Part};
use super::original::bare_id;
use super::wording::Failure;
use super::{Feedback, Original};
use crate::mail::EnhancedCode;
use serde::Deserialize;

/// What a notification tells.
#[derive(Debug)]
pub enum Notification {
    Bounce(Bounced),
    Complaint(Feedback),
}

/// Addresses that failed, and of which message.
#[derive(Debug)]
pub struct Bounced {
    pub failures: Vec<Failure>,
    pub original: Original,
}

/// What the notification may be wrapped in.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "Message")]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(alias = "eventType")]
    notification_type: String,
    bounce: Option<Bounce>,
    complaint: Option<Complaint>,
    #[serde(default)]
    mail: Mail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounce {
    #[serde(default)]
    bounce_type: String,
    #[serde(default)]
    bounce_sub_type: String,
    #[serde(default)]
    bounced_recipients: Vec<Recipient>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recipient {
    email_address: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    diagnostic_code: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    #[serde(default)]
    complained_recipients: Vec<Recipient>,
    complaint_feedback_type: Option<String>,
    user_agent: Option<String>,
    arrival_date: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Mail {
    source: Option<String>,
    source_ip: Option<String>,
    common_headers: CommonHeaders,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct CommonHeaders {
    message_id: Option<String>,
}

/// Reads the first text that begins with such a notification.
pub fn read(message: &Message) -> Option<Notification> {
    let text = message.parts.iter().find_map(|part| match part {
        Part::Text(text) if text.trim_start().starts_with('{') => Some(text.trim_start()),
        _ => None,
    })?;
    let unfolded = text.replace("\r\n ", " ").replace("\n ", " ");
    let written: Written = match first_value::<Envelope>(&unfolded) {
        Some(envelope) => first_value(&envelope.message)?,
        None => first_value(&unfolded)?,
    };
    let original = Original {
        message_id: written
            .mail
            .common_headers
            .message_id
            .as_deref()
            .and_then(bare_id),
        return_path: written.mail.source.clone(),
        tokens: Vec::new(),
    };
    match (
        written.notification_type.as_str(),
        written.bounce,
        written.complaint,
    ) {
        ("Bounce", Some(bounce), _) => Some(Notification::Bounce(Bounced {
            failures: bounce.failures(),
            original,
        })),
        ("Complaint", _, Some(complaint)) => Some(Notification::Complaint(
            complaint.feedback(written.mail, original),
        )),
        _ => None,
    }
}

/// The JSON value at the start of a text; something is often added behind.
fn first_value<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<T>();
    values.next()?.ok()
}

impl Bounce {
    fn failures(&self) -> Vec<Failure> {
        let kind = format!("{} {}", self.bounce_type, self.bounce_sub_type);
        let failures = self.bounced_recipients.iter().map(|recipient| {
            let said = recipient
                .diagnostic_code
                .split_once("; ")
                .map_or(&*recipient.diagnostic_code, |(_, said)| said);
            Failure {
                address: recipient.email_address.clone(),
                evidence: Evidence {
                    status: EnhancedCode::split(&recipient.status).map(|(code, _)| code),
                    said: [said.to_owned()]
                        .into_iter()
                        .filter(|said| !said.is_empty())
                        .collect(),
                    around: vec![kind.clone()],
                },
            }
        });
        failures.take(super::dsn::MOST_RECIPIENTS).collect()
    }
}

impl Complaint {
    fn feedback(self, mail: Mail, original: Original) -> Feedback {
        Feedback {
            feedback_type: self
                .complaint_feedback_type
                .unwrap_or_else(|| "abuse".into())
                .to_ascii_lowercase(),
            original_recipient: self
                .complained_recipients
                .into_iter()
                .next()
                .map(|recipient| recipient.email_address),
            original_mail_from: mail.source,
            source_ip: mail.source_ip,
            arrival_date: self.arrival_date,
            user_agent: self.user_agent,
            original,
            ..Feedback::default()
        }
    }
}
