//! Recipients that a client sends in one go are asked for together: one question to the list for a group of commands,
//! not one each.

use crate::mail::{Address, Reply};
use crate::smtp::codec::line::{Line, first_line};
use crate::smtp::codec::{Command, Mailbox};
use std::collections::VecDeque;

/// Most that are asked for at once.
const MOST: usize = 100;

/// Answers for recipients whose commands have come and whose turn has not.
#[derive(Default)]
pub struct Ahead(VecDeque<(Address, Result<(), Reply>)>);

impl Ahead {
    /// The answer for a recipient whose turn it is. One that was not asked for ends the group: what comes next is no
    /// longer what was seen to be coming.
    pub fn take(&mut self, recipient: &Address) -> Option<Result<(), Reply>> {
        match self.0.pop_front() {
            Some((expected, answer)) if expected == *recipient => Some(answer),
            _ => {
                self.0.clear();
                None
            }
        }
    }

    /// Keeps the answers for those behind the first, and gives the first's.
    pub fn keep(
        &mut self,
        group: Vec<Address>,
        answers: Vec<Result<(), Reply>>,
    ) -> Option<Result<(), Reply>> {
        self.0 = group.into_iter().zip(answers).collect();
        self.0.pop_front().map(|(_, answer)| answer)
    }
}

/// A recipient, and those of the RCPT commands that follow one another in `waiting`.
pub fn group(first: &Address, waiting: &[u8]) -> Vec<Address> {
    let mut group = vec![first.clone()];
    let mut rest = waiting;
    while group.len() < MOST {
        let Line::Whole { text, consumed } = first_line(rest) else {
            break;
        };
        let Ok(Command::Rcpt(rcpt)) = Command::parse(text) else {
            break;
        };
        // The session gives `<postmaster>` its domain, and ends the group by it.
        let Mailbox::Address(address) = rcpt.mailbox else {
            break;
        };
        group.push(address);
        rest = rest.get(consumed..).unwrap_or_default();
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn a_group_ends_where_something_else_comes() {
        let first = address("a@example.net");
        let texts = |waiting: &str| -> Vec<String> {
            let group = group(&first, waiting.as_bytes());
            group.iter().map(ToString::to_string).collect()
        };
        let two = "RCPT TO:<b@example.net>\r\nrcpt to:<c@example.net> NOTIFY=NEVER\r\n";
        let whole = ["a@example.net", "b@example.net", "c@example.net"];
        for end in [
            "",
            "DATA\r\n",
            "RCPT TO:<half@exam",
            "RCPT TO:<>\r\nRCPT TO:<late@example.net>\r\n",
            "RCPT TO:<postmaster>\r\nRCPT TO:<late@example.net>\r\n",
            "RSET\r\nRCPT TO:<late@example.net>\r\n",
        ] {
            assert_eq!(texts(&format!("{two}{end}")), whole, "{end}");
        }
        let many = "RCPT TO:<b@example.net>\r\n".repeat(1000);
        assert_eq!(group(&first, many.as_bytes()).len(), MOST);
    }

    #[test]
    fn an_answer_is_for_whom_it_was_asked() {
        let [a, b, c] = ["a@x.test", "b@x.test", "c@x.test"].map(address);
        let no = Err(Reply::local(
            550,
            crate::mail::EnhancedCode(5, 7, 1),
            "no",
            "RCPT",
        ));
        let mut ahead = Ahead::default();
        let group = vec![a.clone(), b.clone(), c.clone()];
        let answers = vec![Ok(()), no.clone(), Ok(())];
        assert_eq!(ahead.keep(group.clone(), answers.clone()), Some(Ok(())));
        assert_eq!(ahead.take(&b), Some(no));
        assert_eq!(ahead.take(&a), None);
        assert_eq!(ahead.take(&c), None, "the group has ended");
    }
}
