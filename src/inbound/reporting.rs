//! Reports about our mail: DMARC aggregate reports (RFC 9990) and TLS reports (RFC 8460).
//!
//! Anybody can write to the address, and a report is not signed. It changes figures, and suppresses nobody.

use super::reception::apart;
use super::{Handled, Inbound, Trouble};
use crate::reports::{Domains, ReportsError, Taken, read};
use std::sync::Arc;

impl Inbound {
    /// Stores what a message reports. Reading and storing have a thread of their own for it.
    pub(super) async fn reported(&self, content: &[u8]) -> Result<Handled, Trouble> {
        let (parts, content) = (Arc::clone(&self.0), content.to_vec());
        let taking = move || {
            let report = match read(&content) {
                Ok(report) => report,
                Err(unreadable) => return Ok(Err(unreadable)),
            };
            parts.reports.take(&report, Domains::Ours).map(Ok)
        };
        let taken: Result<_, ReportsError> = apart(taking).await;
        Ok(match taken? {
            Ok(Taken::Stored) => self.done("report"),
            Ok(Taken::Duplicate) => self.done("report-again"),
            Ok(Taken::NotOurs) => self.leave(
                "report-not-ours",
                "it reports about domains that are none of ours; where they are, name them in [reports] domains",
            ),
            Ok(Taken::Ahead) => self.leave("report-ahead", "it reports about days that have not been"),
            Ok(Taken::Full) => self.leave("report-no-room", "there is no room for more reports"),
            Err(unreadable) if unreadable.is_stranger() => {
                self.leave("no-report", "it came to an address for reports, and has none in it")
            }
            Err(unreadable) => self.leave(
                "report-unreadable",
                &format!("its report cannot be read: {unreadable}"),
            ),
        })
    }
}
