//! What a message is made of, as values: no clock, no sockets, no disk.

pub mod address;
pub mod envelope;
pub mod finding;
pub mod headers;
pub mod mailbox;
pub mod mime;
pub mod reply;

pub use address::{Address, AddressError};
pub use envelope::{
    BodyType, Envelope, Labels, MessageId, Notify, Recipient, Ret, Stream, TlsWish,
};
pub use finding::{BounceClass, Finding, Severity, Subject};
pub use mime::base64_lines;
pub use reply::{Disposition, EnhancedCode, Reply};
