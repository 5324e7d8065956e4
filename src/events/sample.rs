//! Events for tests.

use super::{About, Attempt, Event, Tls};
use crate::mail::{BounceClass, Disposition, EnhancedCode, Labels, MessageId, Reply, Stream};
use crate::units::Timestamp;
use std::time::Duration;

pub fn about(id: u64) -> About {
    About {
        id: MessageId(id),
        labels: std::sync::Arc::new(Labels {
            tenant: Some("acme".into()),
            campaign: Some("spring".into()),
            stream: Some(Stream::Transactional),
            ..Labels::default()
        }),
        sender: Some("bounce@acme.example".parse().unwrap()),
        recipient: Some("ann@example.net".parse().unwrap()),
        size: 1234,
    }
}

pub fn attempt(possible_duplicate: bool) -> Attempt {
    Attempt {
        number: 2,
        site: Some("mx.example.net".into()),
        source: Some("ip-a".into()),
        provider: Some("google".into()),
        tls: Some(Tls {
            version: "TLSv1.3",
            policy: "opportunistic",
        }),
        latency: Duration::from_millis(1_500),
        possible_duplicate,
    }
}

pub fn accepted() -> Event {
    Event::Accepted {
        about: about(1),
        peer: Some([192, 0, 2, 7].into()),
        why: None,
    }
}

pub fn delivered(possible_duplicate: bool) -> Event {
    let reply = Reply::said(250, Some(EnhancedCode(2, 0, 0)), "queued as 17", ".");
    Event::Outcome {
        about: about(1),
        attempt: attempt(possible_duplicate),
        disposition: Disposition::Delivered(reply),
    }
}

pub fn deferred() -> Event {
    let why = Reply::local(
        451,
        EnhancedCode(4, 4, 1),
        "no answer from mx.example.net",
        "connect",
    );
    let until = Timestamp::from_millis(90_000_000);
    Event::Outcome {
        about: about(1),
        attempt: Attempt {
            tls: None,
            source: None,
            provider: None,
            ..attempt(false)
        },
        disposition: Disposition::Deferred {
            until,
            finding: BounceClass::Throttled.into(),
            why,
        },
    }
}

pub fn bounced(class: BounceClass) -> Event {
    let why = match class {
        BounceClass::Expired => {
            Reply::local(554, EnhancedCode(5, 4, 7), "not delivered in 3 days", ".")
        }
        BounceClass::Dropped => {
            Reply::local(554, EnhancedCode(5, 0, 0), "dropped by the operator", ".")
        }
        _ => Reply::said(550, Some(EnhancedCode(5, 1, 1)), "no such user", "RCPT"),
    };
    Event::Outcome {
        about: about(1),
        attempt: attempt(false),
        disposition: Disposition::Bounced {
            finding: class.into(),
            why,
        },
    }
}
