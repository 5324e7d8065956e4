//! Events.

use super::Case;
use mailwright::events::{About, Attempt, Event, Line, Tls};
use mailwright::mail::{Disposition, EnhancedCode, Labels, MessageId, Reply, Stream};
use mailwright::units::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// A `delivered` event as a line of JSON.
pub struct EventLine;

impl Case for EventLine {
    type Input = Event;
    type Output = (Event, Vec<u8>);

    fn input() -> Self::Input {
        Event::Outcome {
            about: about(),
            attempt: attempt(),
            disposition: Disposition::Delivered(Reply::said(
                250,
                Some(EnhancedCode(2, 0, 0)),
                "OK 1795426200 d2e1a72fcca58-7c0f3a9be1csi1234567b3a.42 - gsmtp",
                ".",
            )),
        }
    }

    fn run(event: Self::Input) -> Self::Output {
        let at = Timestamp::from_millis(1_795_426_201_234);
        let line = Line { at, event: &event }.to_json();
        (event, line)
    }
}

fn about() -> About {
    About {
        id: MessageId(1_795_426_200_000 << 20),
        labels: labels(),
        sender: Some("bounce-42@news.example.com".parse().expect("an address")),
        recipient: Some("ann@example.net".parse().expect("an address")),
        size: 10_240,
    }
}

/// What a platform says of a newsletter.
pub fn labels() -> Arc<Labels> {
    Arc::new(Labels {
        tenant: Some("acme".into()),
        campaign: Some("spring".into()),
        stream: Some(Stream::Marketing),
        pool: Some("shared".into()),
        list: None,
        engagement: None,
        tag: Some("a/b-test-2".into()),
        ..Labels::default()
    })
}

fn attempt() -> Attempt {
    Attempt {
        number: 1,
        site: Some("mx.example.net".into()),
        source: Some("ip-a".into()),
        provider: Some("google".into()),
        tls: Some(Tls {
            version: "TLSv1.3",
            policy: "opportunistic",
        }),
        latency: Duration::from_millis(1_234),
        possible_duplicate: false,
    }
}
