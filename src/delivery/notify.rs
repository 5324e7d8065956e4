//! Telling the sender by mail, where it is owed (RFC 3461 §5.2).

use super::settle::Record;
use super::{AGAIN, Delivery};
use crate::bounce::Config;
use crate::bounce::notice::{self, Action, Original, Outcome, Report};
use crate::mail::{BounceClass, Disposition, Finding, Labels, MessageId, TlsWish};
use crate::spool::Content;
use crate::units::Timestamp;

/// A message over this is not returned whole, whatever RET says: a notice is to be read.
const MOST_RETURNED: u64 = 1 << 20;

impl Delivery {
    /// Hands in the notice that a record calls for. A failure waits for its notice as long as the spool has no room for
    /// one, so that no message fails without a word; other notices are not worth waiting for.
    pub(super) async fn notify(&self, record: &Record) -> Notice {
        let with = &self.0.with;
        let outcomes = owed(record, &self.notice_settings(record));
        if outcomes.is_empty() {
            return Notice::Settled;
        }
        let meta = &record.stored.meta;
        // What was to be kept from others' eyes is not sent back whole (RFC 8689 §5).
        let is_secret = meta.labels.tls.is_passed_on();
        let whole = record.stored.size <= MOST_RETURNED
            && !is_secret
            && outcomes
                .iter()
                .any(|outcome| notice::returns_full(&meta.envelope, outcome.action));
        let returned = match with.spool.content(meta.id).await {
            Ok(content) => read(content, whole).await,
            Err(_) => Vec::new(),
        };
        let report = Report {
            id: meta.id,
            envelope: &meta.envelope,
            received: meta.received,
            outcomes: &outcomes,
            original: if whole {
                Original::Full(&returned)
            } else {
                Original::Headers(&returned)
            },
            hostname: &with.hostname,
            now: record.at,
        };
        let Some(notice) = notice::write(&report) else {
            return Notice::Settled;
        };
        let owed = outcomes
            .iter()
            .any(|outcome| outcome.action == Action::Failed);
        let labels = Labels {
            tenant: meta.labels.tenant.clone(),
            tls: match is_secret {
                true => TlsWish::Prefers,
                false => TlsWish::None,
            },
            ..Labels::default()
        };
        self.hand_in(meta.id, &notice, labels, owed).await
    }

    /// `[bounce]`, with what the message's tenant wants instead.
    fn notice_settings(&self, record: &Record) -> Config {
        let mut settings = Config::clone(&self.0.with.notices.load());
        let tenants = self.0.with.tenants.load();
        let tenant = record
            .stored
            .meta
            .labels
            .tenant
            .as_deref()
            .and_then(|name| tenants.get(name));
        settings.notices = tenant
            .and_then(|tenant| tenant.notices)
            .unwrap_or(settings.notices);
        settings
    }

    async fn hand_in(
        &self,
        id: MessageId,
        notice: &notice::Notice,
        labels: Labels,
        owed: bool,
    ) -> Notice {
        let with = &self.0.with;
        loop {
            let (envelope, labels) = (notice.envelope.clone(), labels.clone());
            let Err(reply) = with.intake.submit(envelope, &notice.content, labels).await else {
                return Notice::Settled;
            };
            tracing::error!(%id, %reply, "a notice to the sender was not taken");
            if !owed || reply.code != 452 {
                return Notice::Settled;
            }
            tokio::select! {
                () = self.0.stop.cancelled() => return Notice::NotNow,
                () = with.clock.sleep(AGAIN) => {}
            }
        }
    }
}

/// What became of the notice that a record calls for.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Notice {
    /// Handed in, not owed, or not to be had: the record can be written.
    Settled,
    /// We stop before it could be handed in: the failure is found again after the next start.
    NotNow,
}

/// The outcomes that the sender is to be told.
fn owed<'a>(record: &'a Record, config: &Config) -> Vec<Outcome<'a>> {
    let envelope = &record.stored.meta.envelope;
    let told = record
        .outcomes
        .iter()
        .filter_map(|(position, _, disposition)| {
            let recipient = envelope.recipients.get(usize::from(*position))?;
            let action = action(record, disposition, config)?;
            notice::wanted(envelope, recipient, config.notices, action).then(|| Outcome {
                recipient,
                action,
                reply: disposition.reply(),
                remote: record.via.host.as_deref(),
                retry_until: (action == Action::Delayed).then_some(record.expires),
            })
        });
    told.collect()
}

fn action(record: &Record, disposition: &Disposition, config: &Config) -> Option<Action> {
    match disposition {
        // A server that knows DSN has been given NOTIFY and answers for itself (RFC 3461 §5.2.1).
        Disposition::Delivered(_) => (!record.via.dsn).then_some(Action::Relayed),
        Disposition::Bounced {
            finding:
                Finding {
                    class: BounceClass::Dropped | BounceClass::Suppressed,
                    ..
                },
            ..
        } => None,
        Disposition::Bounced { .. } => Some(Action::Failed),
        Disposition::Deferred { until, .. } => {
            let due = record.stored.meta.received + config.delay_after.0;
            is_first_after(due, record.at, *until).then_some(Action::Delayed)
        }
    }
}

/// The attempt at `now` is the last before `due`, or on it: attempts cut time into pieces from one to the next, and
/// `due` lies in just one of them, so that a delay is told once without remembering that it was.
fn is_first_after(due: Timestamp, now: Timestamp, next: Timestamp) -> bool {
    now <= due && due < next
}

async fn read(mut content: Content, whole: bool) -> Vec<u8> {
    let mut octets = content.head.to_vec();
    if whole {
        octets.clear();
        while let Ok(Some(piece)) = content.next().await {
            octets.extend_from_slice(&piece);
        }
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_delay_is_told_by_exactly_one_of_the_attempts() {
        let at = Timestamp::from_millis;
        let due = at(0) + Duration::from_secs(4 * 3600);
        let mut now = at(0);
        let mut told = 0;
        for attempt in 0..20u32 {
            let next = now + Duration::from_secs(300) * 2u32.pow(attempt.min(5));
            told += u32::from(is_first_after(due, now, next));
            now = next;
        }
        assert_eq!(told, 1);
    }
}
