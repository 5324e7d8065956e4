//! Addresses and header sections.

use super::{Case, content};
use mailwright::mail::Address;
use mailwright::mail::headers::HeaderSection;
use mailwright::mail::mailbox::mailboxes;

/// Three addresses: common, with upper case and a tag, with an international domain.
pub struct Addresses;

impl Case for Addresses {
    type Input = [&'static str; 3];
    type Output = [Option<Address>; 3];

    fn input() -> Self::Input {
        [
            "ann.other@example.net",
            "Bob+news@Mail.Example.ORG",
            "zoe@b\u{fc}cher.example",
        ]
    }

    fn run(input: Self::Input) -> Self::Output {
        input.map(|text| text.parse().ok())
    }
}

/// Finding the end of the newsletter's header section (1,046 octets, 18 fields).
pub struct HeaderScan;

impl Case for HeaderScan {
    type Input = Vec<u8>;
    type Output = (Vec<u8>, Option<usize>);

    fn input() -> Self::Input {
        content::message::<10>()
    }

    fn run(input: Self::Input) -> Self::Output {
        let end = HeaderSection::end(&input, 0);
        (input, end)
    }
}

/// Reading that section into its fields.
pub struct HeaderParse;

impl Case for HeaderParse {
    type Input = Vec<u8>;
    type Output = HeaderSection;

    fn input() -> Self::Input {
        content::head::<10>()
    }

    fn run(input: Self::Input) -> Self::Output {
        HeaderSection::parse(input).expect("a header section")
    }
}

/// The address in its From field.
pub struct FromMailbox;

impl Case for FromMailbox {
    type Input = HeaderSection;
    type Output = (HeaderSection, Vec<Address>);

    fn input() -> Self::Input {
        HeaderParse::run(HeaderParse::input())
    }

    fn run(head: Self::Input) -> Self::Output {
        let from = head.first("From").expect("a From field");
        let found = mailboxes(&from.text()).expect("a mailbox");
        (head, found)
    }
}
