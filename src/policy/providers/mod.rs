//! Who has the mailboxes, and what they want.
