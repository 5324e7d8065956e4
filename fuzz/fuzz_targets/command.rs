//! No line panics, and nothing that a command holds could end a line elsewhere.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailwright::smtp::codec::{Command, Mailbox};

fuzz_target!(|line: &[u8]| {
    match Command::parse(line) {
        Ok(Command::Mail(mail)) => {
            if let Some(sender) = &mail.sender {
                assert_safe(sender.as_str());
                assert_eq!(&sender.as_str().parse::<mailwright::mail::Address>().unwrap(), sender);
            }
            mail.envid.as_deref().map_or((), assert_safe);
        }
        Ok(Command::Rcpt(rcpt)) => {
            if let Mailbox::Address(address) = &rcpt.mailbox {
                assert_safe(address.as_str());
                let _ascii = address.to_ascii().map(|a| assert_safe(a.as_str()));
            }
            rcpt.orcpt.as_deref().map_or((), assert_safe);
        }
        Ok(Command::Ehlo(name) | Command::Helo(name)) => assert_safe(name),
        Ok(_) => {}
        Err(error) => {
            let reply = error.reply(line);
            assert!(reply.is_permanent() || reply.code == 421);
        }
    }
});

fn assert_safe(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
