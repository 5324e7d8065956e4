//! What is put into a message so that what comes back about it finds it. All of it is covered by DKIM.
//!
//! - `X-Mailwright-Ref`: the token of the message, and of its recipient where there is only one;
//! - `CFBL-Address` and `CFBL-Feedback-ID`: who wants to hear of complaints, and the token (RFC 9477);
//! - `List-Unsubscribe` and `List-Unsubscribe-Post`, in marketing mail to one recipient (RFC 2369, RFC 8058).
//!
//! What the platform has said of these itself is kept.

use crate::bounce::stamps::{REF, Stamped, Stamps};
use crate::mail::headers::HeaderSection;
use crate::spool::Meta;

/// Puts the fields in front; gives the token, where answers come back to us.
pub(super) fn stamp(head: &mut HeaderSection, stamps: &Stamps, meta: &Meta) -> Option<String> {
    let message = Stamped {
        id: meta.id,
        tenant: meta.labels.tenant.as_deref(),
        stream: meta.labels.stream,
        recipients: meta.envelope.recipients.len(),
    };
    offer_to_unsubscribe(head, stamps, &message);
    let token = stamps.content_token(&message)?;
    if let Some(address) = stamps.feedback()
        && has_none(head, &["CFBL-Address", "CFBL-Feedback-ID"])
    {
        head.prepend("CFBL-Feedback-ID", &token);
        head.prepend("CFBL-Address", &format!("{address}; report=arf"));
    }
    head.prepend(REF, &token);
    Some(token)
}

fn offer_to_unsubscribe(head: &mut HeaderSection, stamps: &Stamps, message: &Stamped<'_>) {
    if !has_none(head, &["List-Unsubscribe", "List-Unsubscribe-Post"]) {
        return;
    }
    if let Some((places, one_click)) = stamps.unsubscribe(message) {
        if one_click {
            head.prepend("List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
        }
        head.prepend("List-Unsubscribe", &places);
    }
}

fn has_none(head: &HeaderSection, names: &[&str]) -> bool {
    names.iter().all(|name| head.first(name).is_none())
}
