//! Our mail as its receiver will see it, before it leaves: SPF for the source it goes out from, the DKIM keys its
//! signatures will be checked with, what DMARC makes of both, and the names of the source.
//!
//! # How it is used
//!
//! ```text
//!  let preflight = Arc::new(Preflight::new(resolver, clock, Bounds::default()));
//!  tracker.spawn(preflight.clone().keep_fresh(stop));      // once, beside the other background tasks
//!
//!  match preflight.known(&identity, &origin) {             // per message: no question, no waiting
//!      Some(judgement) => …,                               // an Arc<Judgement>
//!      None => preflight.judge(&identity, &origin).await,  // asks DNS, once for all who wait
//!  }
//! ```
//!
//! [`Identity`] is what the message will say of itself, [`Origin`] one of the source addresses it may leave from: for a
//! pool there is one judgement per address. A [`Judgement`] holds results and [`Finding`]s; each finding has the rule of
//! the lint it belongs to, how bad it is, what to do about it, and the reply that whoever wants to refuse the message
//! gives. Nothing here refuses anything, and nothing here knows of queues.
//!
//! The daemon asks by way of [`Alignment`], which knows what each tenant wants done ([`Action`]), answers for all sources of
//! a message at once, and has what is not known yet judged in the background. The intake acts on the [`Answer`]; the
//! choice of a source asks [`Alignment::of_source`] about the return path alone.
//!
//! # What is kept, and how long
//!
//! A judgement lives as long as the shortest-lived answer it rests on, at least [`Bounds::least`]; what DNS denied and
//! what it did not answer have short lives of their own. Once that is over the background task judges anew, and until
//! it has, for at most [`Bounds::grace`], the old judgement serves: mail that is sent often never waits for DNS. What
//! nobody asked for since it was judged is dropped instead.
//!
//! SPF is judged for `postmaster` at the return-path domain, because our return paths differ from message to message;
//! where the policy looks at the local part, a finding says so.

mod asking;
mod config;
mod finding;
mod identity;
mod judge;
mod preflight;
mod published;
mod remedy;
#[cfg(test)]
mod tests;

pub use asking::{Alignment, Answer, Parts};
pub use config::{Action, Config, Settings, TenantConfig};
pub use finding::{Finding, Kind, Weight};
pub use identity::{Identity, Origin, Signature};
pub use judge::{Judgement, KeyReport, SpfReport, judge};
pub use preflight::{Bounds, Preflight};
pub use published::{KeyState, Published};
