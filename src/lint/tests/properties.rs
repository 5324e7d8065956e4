//! Whatever comes is answered, within bounds.

use super::super::finding::{LONGEST, MOST};
use super::super::network_lines;
use super::*;
use proptest::prelude::*;

fn bounded(octets: &[u8]) {
    let message = Message::parse(octets);
    let found = examine(&message, &Facts::default());
    assert!(found.len() <= MOST);
    assert!(
        found
            .iter()
            .all(|f| f.evidence.len() <= LONGEST && !f.evidence.contains(char::is_control))
    );
    assert!(message.domains().len() <= 50);
    assert_eq!(found, examine(&Message::parse(octets), &Facts::default()));
}

proptest! {
    #[test]
    fn any_octets_are_survived(octets: Vec<u8>) {
        bounded(&octets);
    }

    #[test]
    fn any_mixture_of_what_matters_is_survived(pieces in proptest::collection::vec(piece(), 0..60)) {
        bounded(&pieces.concat());
    }

    #[test]
    fn a_good_message_cut_or_with_an_octet_changed_is_survived(at in 0..GOOD.len(), octet: u8) {
        bounded(&GOOD.as_bytes()[..at]);
        let mut changed = GOOD.as_bytes().to_vec();
        changed[at] = octet;
        bounded(&changed);
    }

    #[test]
    fn lines_of_a_file_become_those_of_the_network(text in "[a\n]{0,30}") {
        let out = network_lines(text.as_bytes()).into_owned();
        prop_assert_eq!(String::from_utf8(out).unwrap(), text.replace('\n', "\r\n"));
    }
}

/// What readers of messages branch on.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"From: ",
        b"\r\n",
        b"\r\n\r\n",
        b"Content-Type: multipart/alternative; boundary=x\r\n",
        b"--x\r\n",
        b"--x--",
        b"Content-Type: text/html\r\n\r\n",
        b"Content-Type: text/x-amp-html\r\n\r\n",
        b"<a href='",
        b"</a>",
        b"<!--",
        b"-->",
        b"<",
        b">",
        b"\"",
        b"'",
        b"=",
        b"http://",
        b"https://[",
        b"@",
        b"(",
        b"\\",
        b"a@b.example",
        b"DKIM-Signature: ",
        b"h=from:",
        b";",
        b"d=",
        b"List-Unsubscribe: <",
        b"Content-Transfer-Encoding: base64\r\n",
        b"quoted-printable",
        b"filename*0*=utf-8''%",
        b"charset=utf-16",
        b"\xff",
        b"\xc3\xa9",
        b"\0",
        b"unsubscribe",
        b"Feedback-ID: ",
        b":",
        b"Content-Type: message/rfc822\r\n\r\n",
        b"=?utf-8?b?",
        b"?=",
        b" ",
        b"\n",
        b"\r",
        b"\t",
    ];
    proptest::sample::select(words).prop_map(<[u8]>::to_vec)
}

#[test]
fn work_grows_with_the_message_and_no_faster() {
    // Each would take minutes where a step looked through the rest for every piece.
    for piece in [
        "<a ",
        "<a href=x>",
        "<!--",
        "<a title=\"",
        "--x\r\n",
        "http://a.example ",
        "From: a\r\n",
        "(",
        "&eacute;",
    ] {
        let body = piece.repeat((64 << 10) / piece.len());
        for kind in ["text/html", "text/plain", "multipart/mixed; boundary=x"] {
            let text = format!(
                "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n{body}"
            );
            bounded(text.as_bytes());
        }
        bounded(body.as_bytes());
    }
}
