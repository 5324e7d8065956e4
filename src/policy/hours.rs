//! The send windows of a tenant or a provider, as mail meets them.

use super::verdict::Held;
use super::window::{Door, SendWindows};
use crate::mail::Stream;
use crate::units::Timestamp;
use std::sync::Arc;

/// At which hours the mail of a tenant, or to a provider, may go. Transactional mail goes at any hour: a password reset
/// that comes in the morning is of no use.
#[derive(Debug)]
pub struct Hours {
    of: Arc<str>,
    windows: Arc<str>,
    key: Arc<str>,
    door: Door,
}

impl Hours {
    /// `of` names whose they are, `key` where they stand in the configuration. `None` where no hour is closed.
    pub fn new(windows: &SendWindows, of: &str, key: &str) -> Option<Arc<Self>> {
        (!windows.is_empty()).then(|| {
            Arc::new(Self {
                of: of.into(),
                windows: windows.to_string().into(),
                key: key.into(),
                door: Door::new(windows.clone()),
            })
        })
    }

    /// Whether mail of `stream` may go now; otherwise why not, and until when.
    pub fn open(&self, stream: Stream, now: Timestamp) -> Result<(), Held> {
        if stream == Stream::Transactional {
            return Ok(());
        }
        self.door.is_open(now).map_err(|until| Held::SendWindow {
            of: Arc::clone(&self.of),
            window: Arc::clone(&self.windows),
            until,
            key: Arc::clone(&self.key),
        })
    }
}
