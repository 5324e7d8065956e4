//! SMTP as octets: command lines, replies, message content. Functions of bytes, without sockets or time.
//!
//! | part | reads | writes |
//! |---|---|---|
//! | [`command`] | a client's command line | |
//! | [`reply`] | a server's reply | a reply |
//! | [`content`] | what follows DATA and BDAT | |
//! | [`stuffer`] | | what follows DATA |
//! | [`ehlo`] | the extensions in an EHLO reply | an EHLO reply |

pub mod command;
pub mod content;
pub mod ehlo;
pub mod line;
mod param;
pub mod reply;
pub mod stuffer;

pub use command::{CodecError, Command, MailFrom, Mailbox, RcptTo};
pub use content::{BdatReceiver, ContentRules, DataReceiver, LineEndings, Progress, Violation};
pub use ehlo::EhloLines;
pub use reply::{ReplyError, ReplyParser, write_reply};
pub use stuffer::{Stuffer, dot_stuff};
